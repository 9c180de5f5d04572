/** What a component asks the server for. */

import { read } from "./api.js";
import { useCallback, useEffect, useRef, useState } from "./ui.js";

/**
 * Loads with `ask(signal)` when the component appears and whenever one of `inputs` changes.
 *
 * @returns {{ data: any, error: Error|null, loading: boolean, reload: () => void, replace: (data: any) => void }}
 *   `data` stays that of before, undefined at first, until something newer is there.
 */
export function useLoad(ask, inputs) {
  const [state, setState] = useState({ data: undefined, error: null, loading: true });
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const ends = new AbortController();
    setState((before) => ({ ...before, loading: true }));
    ask(ends.signal).then(
      (data) => ends.signal.aborted || setState({ data, error: null, loading: false }),
      (error) => ends.signal.aborted || setState((before) => ({ data: before.data, error, loading: false })),
    );
    return () => ends.abort();
  }, [...inputs, turn]);
  const reload = useCallback(() => setTurn((before) => before + 1), []);
  const replace = useCallback(
    (change) =>
      setState((before) => ({ ...before, data: typeof change === "function" ? change(before.data) : change })),
    [],
  );
  return { ...state, reload, replace };
}

/**
 * A list that is read page by page: `{ items, answers, next, more, loadMore, … }` beside what {@link useLoad} returns.
 *
 * `answers` are those of the pages, as they came.
 *
 * @param {string} route the path of the list
 * @param {object} query what is asked for
 * @param {(data: any) => any[]} [itemsOf] takes the entries out of an answer
 * @param {object} [options] as of `read`
 */
export function usePages(route, query, itemsOf = (data) => data, options = {}) {
  const key = JSON.stringify([route, query]);
  const loaded = useLoad(
    async (signal) => {
      const { data, next } = await read(route, { ...options, query, signal });
      return { items: itemsOf(data), answers: [data], next };
    },
    [key],
  );
  const [following, setFollowing] = useState({ busy: false, error: null });
  const loadMore = useCallback(async () => {
    setFollowing({ busy: true, error: null });
    const cursor = loaded.data.next;
    try {
      const { data, next } = await read(route, { ...options, query: { ...query, cursor } });
      // Another list may have taken its place, or the page have been added already.
      loaded.replace((before) =>
        before.next === cursor
          ? { items: [...before.items, ...itemsOf(data)], answers: [...before.answers, data], next }
          : before,
      );
      setFollowing({ busy: false, error: null });
    } catch (error) {
      setFollowing({ busy: false, error });
    }
  }, [key, loaded.data?.next]);
  return {
    ...loaded,
    items: loaded.data?.items,
    answers: loaded.data?.answers,
    next: loaded.data?.next ?? null,
    loadMore,
    more: following,
  };
}

/** Calls `again` every so many seconds while the page is seen, and when it is seen again. */
export function useEvery(seconds, again) {
  const latest = useRef(again);
  latest.current = again;
  useEffect(() => {
    const look = () => document.hidden || latest.current();
    const timer = setInterval(look, seconds * 1000);
    document.addEventListener("visibilitychange", look);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", look);
    };
  }, [seconds]);
}
