/** What is probably wrong with a value: the rules of the server, as far as the JSON Schema of a row tells them. */

const LABEL = "[\\p{L}\\p{N}](?:[\\p{L}\\p{M}\\p{N}-]*[\\p{L}\\p{M}\\p{N}])?";
const ATOM = "[\\p{L}\\p{M}\\p{N}!#$%&'*+/=?^_`{|}~\\-]+";
const EMAIL = new RegExp(
  `^${ATOM}(?:\\.${ATOM})*@(?:${LABEL}\\.)+\\p{L}[\\p{L}\\p{M}\\p{N}-]*[\\p{L}\\p{M}\\p{N}]$`,
  "u",
);
const URL_OF_WEB = new RegExp(`^https?://${LABEL}(?:\\.${LABEL})*(?::\\d{1,5})?(?:[/?#][^\\s\\p{C}]*)?$`, "iu");
const DATE = /^(\d{4})-(\d{2})-(\d{2})$/;
const DATE_TIME =
  /^(\d{4}-\d{2}-\d{2})(?:[Tt ]([01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,6})?)?(?:[Zz]|[+-]\d{2}:?\d{2})?)?$/;
const BOOLEANS = ["true", "yes", "1", "on", "wahr", "ja", "false", "no", "0", "off", "falsch", "nein"];
/** What a spreadsheet has made of a long id. */
const SCIENTIFIC = /^\d+(?:[.,]\d+)?E\+\d+$/;
/** 1,234 is a thousand here and one there. */
const AMBIGUOUS = /^[+-]?[1-9]\d{0,2}[.,]\d{3}$/;
const NUMBERS = [
  /^[+-]?\d{1,14}(?:\.\d{1,4})?$/,
  /^[+-]?(?:\d{1,3}(?:\.\d{3})+|\d+),(?:\d{1,2}|\d{4})$/,
  /^[+-]?0,\d{1,4}$/,
  /^[+-]?\d{1,3}(?:,\d{3})+\.\d{1,4}$/,
  /^[+-]?\d{1,3}(?:,\d{3}){2,}$/,
  /^[+-]?\d{1,3}(?:\.\d{3}){2,}(?:,\d{1,4})?$/,
];
const CONTROLS = /\p{Cc}/u;

/**
 * Says what is wrong with a value that is not empty.
 *
 * @param {object} schema the JSON Schema of the field
 * @param {string} value without the blanks around it
 * @param {boolean} [isKey] whether it identifies a record
 * @returns {{ code: string, values?: string[], limit?: number } | null} a code of the texts (`check.…`)
 */
export function checkValue(schema, value, isKey = false) {
  if (value.includes("\ufffd")) return { code: "unreadable" };
  if (schema.enum) return isOneOf(schema.enum, value) ? null : { code: "oneOf", values: schema.enum };
  if (schema.type === "integer") return checkInteger(schema, value);
  if (schema.type === "number") return checkNumber(value);
  if (schema.type === "boolean") return BOOLEANS.includes(value.toLowerCase()) ? null : { code: "boolean" };
  if (schema.format === "date") return isDate(isoDate(value)) ? null : { code: "date" };
  if (schema.format === "date-time") return isDateTime(value) ? null : { code: "dateTime" };
  if (schema.maxLength && value.length > schema.maxLength && [...value].length > schema.maxLength) {
    return { code: "tooLong", limit: schema.maxLength };
  }
  if (schema.format === "email") return EMAIL.test(value) ? null : { code: "email" };
  if (schema.format === "uri") return URL_OF_WEB.test(value) ? null : { code: "url" };
  if (schema.pattern === "^[A-Z]{2}$") return /^[a-z]{2}$/i.test(value) ? null : { code: "country" };
  if (schema.pattern?.startsWith("^\\+")) return isPhone(schema.pattern, value) ? null : { code: "phone" };
  if (isKey && SCIENTIFIC.test(value)) return { code: "scientific" };
  return (isKey ? CONTROLS.test(value) : value.includes("\0")) ? { code: "character" } : null;
}

function isOneOf(words, value) {
  const lower = value.toLowerCase();
  return words.some((word) => word.toLowerCase() === lower);
}

function checkInteger(schema, value) {
  if (!/^[+-]?\d{1,18}$/.test(value)) return { code: "integer" };
  if (Number(value) < schema.minimum) return { code: "tooSmall", limit: schema.minimum };
  return Number(value) > schema.maximum ? { code: "tooLarge", limit: schema.maximum } : null;
}

function checkNumber(value) {
  if (AMBIGUOUS.test(value)) return { code: "ambiguous" };
  return NUMBERS.some((form) => form.test(value)) ? null : { code: "number" };
}

/** 31.1.2026 as 2026-01-31: with dots, nobody writes the month first. */
function isoDate(value) {
  const match = /^(\d{1,2})\.(\d{1,2})\.(\d{4})$/.exec(value);
  return match ? `${match[3]}-${match[2].padStart(2, "0")}-${match[1].padStart(2, "0")}` : value;
}

function isDate(value) {
  const [, year, month, day] = DATE.exec(value)?.map(Number) ?? [];
  // The 0th of the next month is the last of this one.
  return (
    month >= 1 &&
    month <= 12 &&
    day >= 1 &&
    year >= 1 &&
    day <= new Date(Date.UTC(2000 + (year % 400), month, 0)).getUTCDate()
  );
}

function isDateTime(value) {
  const match = DATE_TIME.exec(value);
  return match !== null && isDate(match[1]);
}

function isPhone(pattern, value) {
  const digits = value.replace("(0)", "").replace(/[ \u00a0\u2009\u202f\-\u2010\u2011\u2013./()]/g, "");
  return new RegExp(pattern).test(digits.replace(/^00/, "+"));
}
