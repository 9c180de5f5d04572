/** The words of the page, in the language of its user: each language has one file in `texts/`. */

import de from "../texts/de.js";
import en from "../texts/en.js";
import { Store } from "./store.js";

const LANGUAGES = { en, de };
const CHOICE = "bulk.language";

/** The languages, each by its own name. */
export const languages = Object.fromEntries(Object.entries(LANGUAGES).map(([code, texts]) => [code, texts.language]));

function preferred() {
  const chosen = localStorage.getItem(CHOICE);
  if (chosen in LANGUAGES) return chosen;
  const wanted = navigator.languages.map((tag) => tag.slice(0, 2).toLowerCase());
  return wanted.find((code) => code in LANGUAGES) ?? "en";
}

/** The code of the language that is shown. */
export const language = new Store(preferred());

/** The tag by which numbers and times are written: the user's own where it is of the language that is shown. */
export function locale() {
  return navigator.languages.find((tag) => tag.slice(0, 2).toLowerCase() === language.value) ?? language.value;
}

export function chooseLanguage(code) {
  localStorage.setItem(CHOICE, code);
  language.set(code);
}

function find(texts, key) {
  return key.split(".").reduce((found, part) => found?.[part], texts);
}

/**
 * The text of a key such as `actions.title`, with `{name}` replaced by `values.name`.
 *
 * A text in several forms, `{ one: …, other: … }`, is chosen by `values.count` (Unicode plural rules).
 */
export function t(key, values = {}) {
  let text = find(LANGUAGES[language.value], key) ?? find(en, key);
  if (text !== null && typeof text === "object" && "count" in values) {
    text = text[new Intl.PluralRules(language.value).select(values.count)] ?? text.other;
  }
  return typeof text === "string" ? fill(text, values) : key;
}

/** The text of a key, or `otherwise` where there is none: for codes that a newer server may have. */
export function textOr(key, otherwise, values = {}) {
  const text = find(LANGUAGES[language.value], key);
  return typeof text === "string" ? fill(text, values) : otherwise;
}

function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = values[name];
    if (value === undefined) return whole;
    return typeof value === "number" ? value.toLocaleString(locale()) : String(value);
  });
}
