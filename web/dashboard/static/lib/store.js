/** A value that several components show. */

import { useEffect, useState } from "./ui.js";

export class Store {
  #listeners = new Set();

  constructor(value) {
    this.value = value;
  }

  set(value) {
    if (value === this.value) return;
    this.value = value;
    for (const listener of [...this.#listeners]) listener(value);
  }

  update(change) {
    this.set(change(this.value));
  }

  /** Calls `listener` with each new value; returns what ends that. */
  subscribe(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

/** The value of a store, kept up to date. */
export function useStore(store) {
  const [, setSeen] = useState(store.value);
  useEffect(() => {
    // It may have changed between the first drawing and now.
    setSeen(store.value);
    return store.subscribe(setSeen);
  }, [store]);
  return store.value;
}
