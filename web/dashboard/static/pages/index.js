/** The pages: the part of the address by which each is found, who may see it, and what it is called in the navigation. */

import { Actions } from "./actions.js";

/** `title` null: it is no entry of the navigation. `role`: who may see it. `parts`: of the address, at most. */
export const PAGES = [
  { name: "actions", parts: 1, title: "actions.title", role: "viewer", page: Actions },
];

/** The page that is shown first. */
export const HOME = "actions";
