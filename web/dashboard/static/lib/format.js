/** Numbers, sizes and times as the user writes them. */

import { locale, t } from "./texts.js";

const NOTHING = "–";

export function number(value, digits = 0) {
  return value === null || value === undefined
    ? NOTHING
    : value.toLocaleString(locale(), { maximumFractionDigits: digits });
}

/** A share of 1. It says 100 % only of all, and 0 % only of none. */
export function percent(share) {
  const bounded = share >= 1 ? 1 : Math.min(share, 0.999);
  const digits = bounded > 0.99 && bounded < 1 ? 1 : 0;
  return bounded.toLocaleString(locale(), { style: "percent", maximumFractionDigits: digits });
}

/** Bytes, in the largest unit of which there is one. */
export function bytes(value) {
  if (value === null || value === undefined) return NOTHING;
  const units = ["byte", "kilobyte", "megabyte", "gigabyte"];
  const step = value < 1000 ? 0 : Math.min(Math.floor(Math.log10(value) / 3), units.length - 1);
  return (value / 1000 ** step).toLocaleString(locale(), {
    style: "unit",
    unit: units[step],
    unitDisplay: step === 0 ? "long" : "short",
    maximumFractionDigits: step === 0 ? 0 : 1,
  });
}

/** A moment (ISO 8601) in the user's own zone. */
export function time(moment) {
  return moment ? new Date(moment).toLocaleString(locale(), { dateStyle: "medium", timeStyle: "medium" }) : NOTHING;
}

/** A day (such as `2026-11-23`). */
export function date(day) {
  return new Date(day).toLocaleDateString(locale(), { dateStyle: "medium", timeZone: "UTC" });
}

export function utc(moment) {
  return `${new Date(moment).toLocaleString(locale(), { dateStyle: "medium", timeStyle: "short", timeZone: "UTC" })} UTC`;
}

/** How long ago or ahead a moment is, in the largest unit that fits. */
export function relative(moment, now = Date.now()) {
  if (!moment) return NOTHING;
  const seconds = (new Date(moment).getTime() - now) / 1000;
  const [unit, length] = [
    ["day", 86_400],
    ["hour", 3600],
    ["minute", 60],
    ["second", 1],
  ].find(([, each]) => Math.abs(seconds) >= each) ?? ["second", 1];
  return new Intl.RelativeTimeFormat(locale(), { numeric: "auto" }).format(Math.round(seconds / length), unit);
}

/** A time in seconds: `1:05:09`, `0:42`. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return NOTHING;
  const whole = Math.ceil(seconds);
  const parts = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  const shown = parts[0] > 0 ? parts : parts.slice(1);
  return shown.map((part, index) => (index === 0 ? String(part) : String(part).padStart(2, "0"))).join(":");
}

/** The name of the user's time zone. */
export function zone() {
  return Intl.DateTimeFormat().resolvedOptions().timeZone ?? t("app.localTime");
}
