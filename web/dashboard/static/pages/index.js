/** The pages: the part of the address by which each is found, who may see it, and what it is called in the navigation. */

import { Action } from "./action.js";
import { Actions } from "./actions.js";
import { DeadLetters, Letter } from "./dead_letters.js";
import { Import } from "./import.js";
import { Keys } from "./keys.js";
import { Records } from "./records.js";
import { Search } from "./search.js";
import { Workers } from "./workers.js";

/** `title` null: it is no entry of the navigation. `role`: who may see it. `parts`: of the address, at most. */
export const PAGES = [
  { name: "import", parts: 1, title: "import.title", role: "operator", page: Import },
  { name: "actions", parts: 1, title: "actions.title", role: "viewer", page: Actions },
  { name: "actions", parts: 2, title: null, role: "viewer", page: Action },
  { name: "search", parts: 1, title: "search.title", role: "viewer", page: Search },
  { name: "records", parts: 3, title: "records.title", role: "viewer", page: Records },
  { name: "dead-letters", parts: 1, title: "letters.title", role: "operator", page: DeadLetters },
  { name: "dead-letters", parts: 2, title: null, role: "operator", page: Letter },
  { name: "keys", parts: 1, title: "keys.title", role: "admin", page: Keys },
  { name: "workers", parts: 1, title: "workers.title", role: "admin", page: Workers },
];

/** The page that is shown first. */
export const HOME = "import";
