/** What every component is made of: Preact, its hooks, and `html` for markup. */

import htm from "../vendor/htm.js";
import { Fragment, h, render } from "../vendor/preact.js";

export { useCallback, useEffect, useId, useLayoutEffect, useMemo, useRef, useState } from "../vendor/preact-hooks.js";
export { Fragment, render };

/** Markup as a tagged template. A value in it is text or a component, never HTML. */
export const html = htm.bind(h);

/** Joins names of classes; what is false is left out. */
export const classes = (...names) => names.filter(Boolean).join(" ");
