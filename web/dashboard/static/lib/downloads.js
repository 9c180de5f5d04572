/** Files that the user takes away. */

import { errorOf, send, Unreachable, url } from "./api.js";

/**
 * Saves what a route answers. It is read to the end first, so that a file which breaks off is an error and no file.
 *
 * `onProgress` is told the bytes that have come.
 *
 * @throws {ApiError} it is refused
 * @throws {Unreachable} it broke off, or there was no answer
 */
export async function download(route, query, otherwise, { accept, signal, onProgress } = {}) {
  const response = await send(url(route, query), { headers: accept ? { Accept: accept } : {}, signal });
  if (!response.ok) throw await errorOf(response);
  const name = /filename="([^"]+)"/.exec(response.headers.get("Content-Disposition") ?? "")?.[1] ?? otherwise;
  try {
    save(await (onProgress ? counted(response, onProgress) : response).blob(), name);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Unreachable(error.message);
  }
}

/** The same answer, whose bytes are counted as they come. */
function counted(response, onProgress) {
  let bytes = 0;
  const counting = new TransformStream({
    transform(part, stream) {
      bytes += part.byteLength;
      onProgress(bytes);
      stream.enqueue(part);
    },
  });
  return new Response(response.body.pipeThrough(counting), { headers: response.headers });
}

/** Saves a blob under a name. */
export function save(blob, name) {
  const address = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  // The browser has to have begun before the address goes.
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
