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

/** Pages that are read at most to find out what is new in a list. */
const NEWEST = 4;

/**
 * A list that is read page by page: `{ items, answers, next, more, loadMore, refresh, … }` beside what {@link useLoad}
 * returns.
 *
 * `answers` are those of the pages, as they came. `refresh(idOf, merge)` reads again what is first, and keeps the pages
 * behind it; `merge(before, fresh)` makes one of two states of an entry.
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
  const current = useRef(null);
  current.current = { key, items: loaded.data?.items };
  const refresh = useCallback(
    async (idOf, merge) => {
      const known = new Set(current.current.items?.map(idOf));
      const ask = (cursor) => read(route, { ...options, query: { ...query, cursor }, attempts: 1 });
      const fresh = await newest(ask, itemsOf, (item) => known.has(idOf(item)));
      if (fresh === null || current.current.key !== key) return;
      loaded.replace((before) => before && { ...before, ...joined(before, fresh, idOf, merge) });
    },
    [key],
  );
  return {
    ...loaded,
    refresh,
    items: loaded.data?.items,
    answers: loaded.data?.answers,
    next: loaded.data?.next ?? null,
    loadMore,
    more: following,
  };
}

/** The first entries of a list, up to one that is known: `{ items, next }`; null where they cannot be had. */
async function newest(ask, itemsOf, isKnown) {
  const items = [];
  let next = null;
  try {
    for (let page = 0; page < NEWEST; page += 1) {
      const answer = await ask(next);
      items.push(...itemsOf(answer.data));
      next = answer.next;
      if (next === null || isKnown(items.at(-1))) break;
    }
  } catch {
    return null; // What is shown stays; the next time will do.
  }
  return { items, next };
}

/** The first entries of a list as they are now, and behind them those that were loaded before. */
function joined(before, { items, next }, idOf, merge) {
  const old = new Map(before.items.map((item) => [idOf(item), item]));
  const first = items.map((item) => (old.has(idOf(item)) ? merge(old.get(idOf(item)), item) : item));
  const last = next === null ? -1 : before.items.findIndex((item) => idOf(item) === idOf(items.at(-1)));
  return last < 0 ? { items: first, next } : { items: [...first, ...before.items.slice(last + 1)], next: before.next };
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
