/** Moments as fields of a form have them: in the zone of the user, to the minute. */

const twoDigits = (number) => String(number).padStart(2, "0");

/** The value of a `datetime-local` field for a moment (ISO 8601); empty for none, or for what is no moment. */
export function toField(moment) {
  const at = new Date(moment ?? "");
  if (Number.isNaN(at.getTime())) return "";
  const day = `${String(at.getFullYear()).padStart(4, "0")}-${twoDigits(at.getMonth() + 1)}-${twoDigits(at.getDate())}`;
  return `${day}T${twoDigits(at.getHours())}:${twoDigits(at.getMinutes())}`;
}

/** The moment (ISO 8601, UTC) that such a field has; empty for none. */
export function fromField(value) {
  const at = new Date(value);
  return value && !Number.isNaN(at.getTime()) ? at.toISOString() : "";
}

/** The moment at which a day of a `date` field is over for the user. */
export function endOfDay(day) {
  const [year, month, date] = day.split("-").map(Number);
  return new Date(year, month - 1, date + 1).toISOString();
}
