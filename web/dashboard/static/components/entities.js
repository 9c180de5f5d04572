/** A choice among what can be imported. */

import { read } from "../lib/api.js";
import { t, textOr } from "../lib/texts.js";
import { html, useEffect, useState } from "../lib/ui.js";
import { Choice } from "./field.js";

/** The name of an entity in words. */
export const entityName = (entityType) => textOr(`entities.${entityType}`, entityType);

/** A single record in words: `Contact 42`. */
export const recordName = (entityType, id) =>
  t("records.one", { entity: textOr(`entity.${entityType}`, entityType), id });

/** @param {{ value: string, onChange: (entityType: string) => void, any?: string }} props `any`: the text for none; null: one has to
 *   be chosen */
export function EntityChoice({ value, onChange, any = t("app.all"), ...rest }) {
  const [entities, setEntities] = useState([]);
  useEffect(() => {
    const ends = new AbortController();
    read("/entities", { signal: ends.signal }).then(
      ({ data }) => setEntities(data.map((entity) => entity.entityType)),
      () => {}, // Without it everything else of a page can be used all the same.
    );
    return () => ends.abort();
  }, []);
  // What the address names is shown as well, also before the list is there.
  const names = !value || entities.includes(value) ? entities : [value, ...entities];
  const options = [...(any === null ? [] : [["", any]]), ...names.map((name) => [name, entityName(name)])];
  return html`<${Choice} label=${t("actions.entity")} value=${value} options=${options} onChange=${onChange} ...${rest} />`;
}
