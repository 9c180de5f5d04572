/** Which column of a file is which field: by name, by what people call it, and by what the values look like. */

import { caseFold } from "./delimiters.js";
import { checkValue } from "./values.js";

/** What other programs and people call the fields, folded (`fold`); that of one entity in place of that of all. */
const SYNONYMS = {
  id: "nr no number nummer key code uid uuid guid recordid externalid kennung schluessel laufendenummer lfdnr identifier",
  "Contact.id":
    "contactid contactno contactnumber kontaktid kontaktnr kontaktnummer customerid customernumber customerno kundennummer kundennr kundenid personid personennummer mitgliedsnummer",
  "Company.id":
    "companyid companynumber accountid firmenid firmennr firmennummer kundennummer kundennr debitor debitorennummer lieferantennummer customerid customernumber",
  "Lead.id": "leadid leadnumber leadnr leadnummer interessentennummer interessentennr contactid",
  "Opportunity.id": "opportunityid dealid dealnumber angebotsnummer chancennummer auftragsnummer vorgangsnummer",
  "Task.id": "taskid tasknumber ticketid ticketnumber ticketnummer aufgabenid aufgabennummer aufgabennr vorgangsnummer",
  name: "fullname displayname contactname customername contact customer kunde kundenname vollername vollstaendigername kontakt kontaktname ansprechpartner person nom nombre",
  "Company.name":
    "company companyname firma firmenname firmierung unternehmen unternehmensname organisation organization organizationname account accountname kundenname customername",
  "Opportunity.name":
    "opportunity opportunityname deal dealname title titel bezeichnung verkaufschance projekt projektname betreff",
  email: "mail emailaddress mailaddress emailadresse mailadresse workemail primaryemail email1 correo courriel",
  status:
    "state zustand stage lifecyclestage contactstatus leadstatus taskstatus bearbeitungsstatus stand estado statut",
  phone:
    "tel telephone telefon mobile mobil handy phonenumber telefonnummer telefonnr rufnummer handynummer mobilnummer festnetz mobilephone telefono",
  website: "url web homepage webseite internet internetadresse webadresse weburl site",
  industry: "branche sector sektor wirtschaftszweig",
  country: "countrycode land laendercode landeskennzeichen landcode pays pais",
  employees:
    "employeecount numberofemployees headcount staff mitarbeiter mitarbeiterzahl mitarbeiteranzahl anzahlmitarbeiter beschaeftigte",
  revenue: "annualrevenue umsatz jahresumsatz turnover sales",
  currency: "waehrung currencycode waehrungscode devise moneda",
  foundedOn: "founded foundingdate foundationdate gegruendet gegruendetam gruendung gruendungsdatum",
  customer: "iscustomer istkunde kunde bestandskunde",
  company: "companyname firma firmenname unternehmen unternehmensname organisation organization account accountname",
  source: "leadsource quelle herkunft leadquelle kanal channel",
  score: "leadscore punkte punktzahl bewertung rating",
  newsletter: "newsletteroptin newsletterabo abonnent optin subscribed subscribes",
  contactedAt: "lastcontact lastcontacted lastcontactedat contacted kontaktiert kontaktiertam letzterkontakt",
  stage: "dealstage salesstage phase status vertriebsphase verkaufsphase stufe",
  companyId:
    "company account accountid companynumber firma firmenid firmennummer firmennr kundennummer kundennr customerid",
  amount: "value dealvalue betrag summe total wert volumen auftragswert umsatz price preis montant importe",
  probability: "wahrscheinlichkeit abschlusswahrscheinlichkeit winprobability",
  closesOn: "closedate closingdate expectedclosedate closes abschluss abschlussdatum abschlussam erwarteterabschluss",
  subject: "title titel betreff task aufgabe name bezeichnung thema",
  priority: "prio prioritaet dringlichkeit wichtigkeit",
  description: "notes note notiz notizen beschreibung bemerkung bemerkungen kommentar comment comments details text",
  assignee:
    "assignedto owner zustaendig zustaendiger bearbeiter verantwortlich verantwortlicher zugewiesenan email mail",
  contactId: "contact kontakt kontaktid kontaktnr kontaktnummer kundennummer kundennr customerid person",
  dueAt: "duedate due deadline faellig faelligam faelligkeit faelligkeitsdatum frist termin enddate",
  private: "isprivate privat vertraulich confidential",
};

/** What stands for a field only where nothing better does, the best first: taken when the values fit. */
const PARTLY = {
  name: "nachname lastname surname familienname vorname firstname givenname",
  "Company.name": "name1 kunde customer",
  status: "phase",
};

/** Whose fields have these names; those that a company has added are its own. */
const OF_PLATFORM = ["Contact", "Company", "Lead", "Opportunity", "Task"];
/** The share of values that must fit where a name is not enough. */
const FITTING = 0.8;
const MOST_PARTS = 7;
/** A word this long at the end of a name says what it is: `Geschäftliche E-Mail`. */
const LONG = 5;
/** Values that show by themselves what they are, the clearest first. */
const TELLING = [
  ({ format }) => format === "email",
  ({ format }) => format === "uri",
  ({ pattern }) => pattern?.startsWith("^\\+"),
  (schema) => Boolean(schema.enum),
  ({ format }) => format === "date-time" || format === "date",
];

/** A name without what people write differently: case, blanks, hyphens, underscores, umlauts and accents. */
export function fold(name) {
  return caseFold(name.slice(0, 64))
    .replace(/ä/g, "ae")
    .replace(/ö/g, "oe")
    .replace(/ü/g, "ue")
    .normalize("NFD")
    .replace(/[^\p{L}\p{N}]/gu, "");
}

function wordsOf(table, entity, field, key) {
  const own = table[`${entity}.${field}`];
  const words = own === undefined || field === key ? [own, table[field]] : [own];
  return words.flatMap((each) => each?.split(" ") ?? []);
}

/**
 * Says for each column which field it probably is; each field once at most. Columns that share a name are left alone:
 * a form cannot tell them apart.
 *
 * @param {string[]} names the columns
 * @param {string[][]} rows the first rows
 * @param {object} schema the JSON Schema of a row
 * @returns {{ field: string, by: "" | "name" | "synonym" | "values" }[]} `field` "": none
 */
export function matchColumns(names, rows, schema) {
  const { title, key, properties } = schema;
  const matched = names.map(() => ({ field: "", by: "" }));
  const missing = new Set(Object.keys(properties));
  const unique = uniqueNames(names);
  // `E-Mail (privat)` is looked for with and without what is in brackets.
  const folded = names.map((name) => [fold(name), fold(name.replace(/[([].*/, ""))].filter(Boolean));
  const values = names.map((_, place) => rows.map((row) => row[place]?.trim()).filter(Boolean));
  function fits(field, place) {
    const good = values[place].filter((value) => checkValue(properties[field], value, field === key) === null);
    return good.length > 0 && good.length >= FITTING * values[place].length;
  }
  function take(by, isField) {
    for (const field of missing) {
      const place = names.findIndex((_, at) => !matched[at].field && unique[at] && isField(field, at));
      if (place < 0) continue;
      matched[place] = { field, by };
      missing.delete(field);
    }
  }
  take("name", (field, place) => caseFold(names[place]) === field.toLowerCase());
  take("name", (field, place) => folded[place].includes(fold(field)));
  if (OF_PLATFORM.includes(title)) {
    const words = (table, field) => wordsOf(table, title, field, key);
    const called = (table, field, place) => words(table, field).some((word) => folded[place].includes(word));
    take("synonym", (field, place) => called(SYNONYMS, field, place) && fits(field, place));
    // What is called so and looks otherwise is meant so all the same, unless another field is.
    take("synonym", (field, place) => called(SYNONYMS, field, place));
    for (const rank of Array(MOST_PARTS).keys()) {
      take("synonym", (field, place) => folded[place].includes(words(PARTLY, field)[rank]) && fits(field, place));
    }
    take("synonym", (field, place) => {
      const endings = [field.toLowerCase(), ...words(SYNONYMS, field)].filter((word) => word.length >= LONG);
      return endings.some((word) => folded[place][0]?.endsWith(word)) && fits(field, place);
    });
  }
  for (const isTelling of TELLING) {
    take("values", (field, place) => isTelling(properties[field]) && fits(field, place));
  }
  take("values", (field, place) => field === key && identifies(values[place], rows.length));
  return matched;
}

function uniqueNames(names) {
  const times = new Map();
  for (const name of names) times.set(caseFold(name), (times.get(caseFold(name)) ?? 0) + 1);
  return names.map((name) => times.get(caseFold(name)) === 1);
}

/** Whether values look like ids: short, without blanks, each there once, in every row. */
function identifies(values, rows) {
  const short = values.every((value) => /^[\p{L}\p{N}_.:/#-]{1,64}$/u.test(value));
  return rows > 1 && values.length === rows && short && new Set(values).size === rows;
}

/** The names of the columns for fields that the file has more than once. */
export function repeatedColumns(names, fields) {
  const unique = uniqueNames(names);
  return fields.filter((field) => names.some((name, at) => !unique[at] && caseFold(name) === field.toLowerCase()));
}

/**
 * The mapping that a form needs, so that the server takes the columns so; what it would take by itself is left out.
 *
 * @param {string[]} names the columns
 * @param {string[]} assigned the field of each, "" for none
 * @param {string[]} fields all fields
 * @returns {Record<string, string | null>}
 */
export function mappingOf(names, assigned, fields) {
  const byName = new Map(fields.map((field) => [field.toLowerCase(), field]));
  const unique = uniqueNames(names);
  const differing = names.flatMap((name, at) => {
    const own = byName.get(caseFold(name)) ?? "";
    // Whether two letters beyond ASCII are one in another case, the server may see otherwise.
    const sure = own === assigned[at] && (own === "" || /^[ -~]+$/.test(name));
    return sure || !unique[at] ? [] : [[name, assigned[at] || null]];
  });
  return Object.fromEntries(differing);
}

/** Which columns a file must have for an action type. */
export function neededFields(schema, actionType) {
  if (actionType === "BULK_UPDATE") return Object.keys(schema.properties);
  return actionType === "BULK_CREATE" ? schema.required : [schema.key];
}

/** How well columns fit an entity, by what they are called and were matched with; the larger, the better. */
export function fitness(names, matched, schema) {
  const found = new Set(matched.map(({ field }) => field).filter(Boolean));
  const named = new Set(names.map(caseFold));
  const byName = Object.keys(schema.properties).filter((field) => named.has(field.toLowerCase()));
  const lacking = schema.required.filter((field) => !found.has(field) && !byName.includes(field));
  return 2 * byName.length + found.size - 3 * lacking.length;
}
