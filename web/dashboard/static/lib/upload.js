/** Files on their way to the server: turned into UTF-8 where they are not, and sent with progress. */

import { undefinedByte } from "../domain/encodings.js";
import { errorOf, Unreachable, url } from "./api.js";
import { credentialHeaders } from "./session.js";

/** A file has bytes that are no characters of its encoding; `line`: where, from 1. */
export class Undecodable extends Error {
  constructor(line) {
    super("undecodable");
    this.line = line;
  }
}

/**
 * Turns a file into UTF-8, a piece at a time.
 *
 * @param {Blob} file
 * @param {string} encoding what it is written in
 * @param {{ signal: AbortSignal, onProgress: (done: number) => void }} options `done`: bytes of the file
 * @returns {Promise<Blob>}
 * @throws {Undecodable}
 */
export async function toUtf8(file, encoding, { signal, onProgress }) {
  let done = 0;
  let line = 1;
  const check = new TransformStream({
    transform(bytes, controller) {
      const place = undefinedByte(bytes, encoding);
      if (place >= 0) throw new Undecodable(line + count(bytes.subarray(0, place), 10));
      // In UTF-16 the lines are counted behind the decoder.
      if (!encoding.startsWith("utf-16")) line += count(bytes, 10);
      done += bytes.length;
      onProgress(done);
      controller.enqueue(bytes);
    },
  });
  const lines = new TransformStream({
    transform(text, controller) {
      if (encoding.startsWith("utf-16")) line += text.split("\n").length - 1;
      controller.enqueue(text);
    },
  });
  const text = file
    .stream()
    .pipeThrough(check, { signal })
    .pipeThrough(new TextDecoderStream(encoding, { fatal: true }))
    .pipeThrough(lines)
    .pipeThrough(new TextEncoderStream());
  try {
    // The browser keeps a large one on its disk, not in its memory.
    return await new Response(text).blob();
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw error instanceof Undecodable ? error : new Undecodable(line);
  }
}

function count(bytes, wanted) {
  let found = 0;
  for (const byte of bytes) if (byte === wanted) found += 1;
  return found;
}

/**
 * Sends a form with a file, its fields in front; returns what the server answers.
 *
 * @param {Record<string, string>} fields
 * @param {{ blob: Blob, name: string }} file
 * @param {{ key: string, signal: AbortSignal, onProgress: (sent: number, total: number) => void }} options `key`: the
 *   same for each attempt of one import
 * @throws {ApiError} it is refused
 * @throws {Unreachable} there was no answer, and nobody knows whether it has arrived
 */
export function upload(fields, { blob, name }, { key, signal, onProgress }) {
  const form = new FormData();
  for (const [field, value] of Object.entries(fields)) form.append(field, value);
  form.append("file", blob, name);
  return new Promise((resolve, reject) => {
    // `fetch` tells nothing of how far a request has come.
    const request = new XMLHttpRequest();
    const abort = () => request.abort();
    request.open("POST", url("/bulk-actions"));
    for (const [header, value] of Object.entries(credentialHeaders())) request.setRequestHeader(header, value);
    request.setRequestHeader("Idempotency-Key", key);
    request.upload.onprogress = ({ loaded, total }) => onProgress(loaded, total);
    request.onload = () => {
      const headers = { "Retry-After": request.getResponseHeader("Retry-After") ?? "" };
      const response = new Response(request.responseText, { status: request.status, headers });
      if (response.ok) response.json().then(resolve, reject);
      else errorOf(response).then(reject);
    };
    request.onerror = () => reject(new Unreachable("upload"));
    request.onabort = () => reject(signal.reason);
    request.onloadend = () => signal.removeEventListener("abort", abort);
    signal.addEventListener("abort", abort);
    if (signal.aborted) reject(signal.reason);
    else request.send(form);
  });
}
