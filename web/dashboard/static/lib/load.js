/** What a component asks the server for. */

import { read } from "./api.js";
import { useCallback, useEffect, useState } from "./ui.js";

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
 * A list that is read page by page: `{ items, next, more, loadMore, … }` beside what {@link useLoad} returns.
 *
 * @param {string} route the path of the list
 * @param {object} query what is asked for
 * @param {(data: any) => any[]} [itemsOf] takes the entries out of an answer
 */
export function usePages(route, query, itemsOf = (data) => data) {
  const key = JSON.stringify([route, query]);
  const loaded = useLoad(
    async (signal) => {
      const { data, next } = await read(route, { query, signal });
      return { items: itemsOf(data), next, first: data };
    },
    [key],
  );
  const [following, setFollowing] = useState({ busy: false, error: null });
  const loadMore = useCallback(async () => {
    setFollowing({ busy: true, error: null });
    try {
      const { data, next } = await read(route, { query: { ...query, cursor: loaded.data.next } });
      loaded.replace((before) => ({ ...before, items: [...before.items, ...itemsOf(data)], next }));
      setFollowing({ busy: false, error: null });
    } catch (error) {
      setFollowing({ busy: false, error });
    }
  }, [key, loaded.data?.next]);
  return {
    ...loaded,
    items: loaded.data?.items,
    next: loaded.data?.next ?? null,
    loadMore,
    more: following,
  };
}
