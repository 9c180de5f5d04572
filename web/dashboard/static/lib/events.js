/** Server-sent events, read by `fetch`: an `EventSource` cannot say on whose behalf it asks. */

import { createParser } from "../vendor/eventsource-parser.js";
import { ApiError, errorOf, send, Unreachable, url } from "./api.js";
import { backoff, lost, pause } from "./connection.js";
import { useEffect, useRef } from "./ui.js";

/** Milliseconds between the end of a stream and the next one. */
const AGAIN = 500;

/**
 * Follows a stream until `signal` is aborted, or the server says that there is no more (204).
 *
 * A stream that ends or breaks is asked for again from where it was. While the page is not seen there is no stream: a
 * browser opens six connections to a server, for all its tabs.
 *
 * @param {string} route the path of the stream
 * @param {(event: { name: string, data: object }) => void} onEvent called for each event
 * @param {{ signal: AbortSignal, onRefused?: (error: ApiError) => void }} options
 */
export async function follow(route, onEvent, { signal, onRefused = () => {} }) {
  let lastId = null;
  let failures = 0;
  while (!signal.aborted) {
    await seen(signal);
    if (signal.aborted) return;
    const hidden = new AbortController();
    const hide = () => document.hidden && hidden.abort();
    document.addEventListener("visibilitychange", hide);
    try {
      const headers = { Accept: "text/event-stream", ...(lastId === null ? {} : { "Last-Event-ID": lastId }) };
      const response = await send(url(route), { signal: AbortSignal.any([signal, hidden.signal]), headers });
      if (response.status === 204) return;
      if (!response.ok) throw await errorOf(response);
      failures = 0;
      const parser = createParser({
        onEvent: (event) => {
          lastId = event.id ?? lastId;
          onEvent({ name: event.event ?? "message", data: JSON.parse(event.data) });
        },
      });
      const text = response.body.pipeThrough(new TextDecoderStream());
      for await (const part of chunks(text)) parser.feed(part);
      await pause(AGAIN, signal);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && error.status < 500 && error.status !== 429) {
        onRefused(error);
        return;
      }
      if (!hidden.signal.aborted) {
        // A stream that breaks is a worker that has gone.
        if (!(error instanceof ApiError || error instanceof Unreachable)) lost();
        const asked = error instanceof ApiError ? (error.retryAfter ?? 0) * 1000 : 0;
        await pause(Math.max(backoff(failures), asked), signal);
        failures += 1;
      }
    } finally {
      document.removeEventListener("visibilitychange", hide);
    }
  }
}

/** The parts of a stream. (Not every browser iterates over one by itself.) */
async function* chunks(stream) {
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}

function seen(signal) {
  if (!document.hidden) return Promise.resolve();
  return new Promise((resolve) => {
    const look = () => {
      if (document.hidden && !signal.aborted) return;
      document.removeEventListener("visibilitychange", look);
      resolve();
    };
    document.addEventListener("visibilitychange", look);
    signal.addEventListener("abort", look, { once: true });
  });
}

/** Follows a stream as long as the component is shown; `route` null: none. */
export function useEvents(route, onEvent, onRefused) {
  const latest = useRef(onEvent);
  latest.current = onEvent;
  useEffect(() => {
    if (route === null) return undefined;
    const ends = new AbortController();
    follow(route, (event) => latest.current(event), { signal: ends.signal, onRefused });
    return () => ends.abort();
  }, [route]);
}
