/** Which page is shown: the part of the address behind `#`, such as `#/actions/6b04…?status=FAILED`. */

import { Store } from "./store.js";

function read() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  return { parts: path.split("/").filter(Boolean).map(decode), query: new URLSearchParams(query ?? "") };
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** `{ parts, query }` of the address. */
export const route = new Store(read());

window.addEventListener("hashchange", () => route.set(read()));

/** The address of a page; what is empty in `query` is left out. */
export function href(parts, query = {}) {
  const said = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== "" && value != null));
  const path = `#/${parts.map(encodeURIComponent).join("/")}`;
  return said.size > 0 ? `${path}?${said}` : path;
}

export function go(parts, query) {
  location.hash = href(parts, query);
}

/** Another query of the page that is shown, without a new entry in the history. */
export function refine(query) {
  history.replaceState(null, "", href(route.value.parts, query));
  route.set(read());
}
