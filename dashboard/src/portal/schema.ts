// What a JSON Schema says in short: its fields with type and description.

export interface Field {
  /** `data.items[].id` */
  path: string;
  type: string;
  required: boolean;
  description: string;
}

type Json = Record<string, unknown>;
const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value);

/** The schema with the highest version, and how many there are. */
export function newestSchema(schemas: unknown): { version: string; versions: number; schema: unknown } | null {
  if (!isObject(schemas)) return null;
  const versions = Object.keys(schemas).sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
  const version = versions.at(-1);
  return version === undefined ? null : { version, versions: versions.length, schema: schemas[version] };
}

const DEPTH_MAX = 6;
const FIELDS_MAX = 300;

/** Every field that the schema names, outer ones first; references within the document are followed. */
export function fieldsOf(schema: unknown): Field[] {
  const fields: Field[] = [];
  const walk = (node: unknown, path: string, depth: number) => {
    const at = resolved(node, schema);
    if (!at || depth > DEPTH_MAX || fields.length >= FIELDS_MAX) return;
    if (isObject(at.items)) walk(at.items, `${path}[]`, depth + 1);
    for (const part of [at.allOf, at.oneOf, at.anyOf]) if (Array.isArray(part)) for (const one of part) walk(one, path, depth + 1);
    if (!isObject(at.properties)) return;
    const required = Array.isArray(at.required) ? at.required : [];
    for (const [name, child] of Object.entries(at.properties)) {
      const inner = path ? `${path}.${name}` : name;
      const told = resolved(child, schema) ?? {};
      fields.push({ path: inner, type: typeOf(told, schema), required: required.includes(name), description: typeof told.description === "string" ? told.description : "" });
      walk(child, inner, depth + 1);
    }
  };
  walk(schema, "", 0);
  return fields.filter((field, at) => fields.findIndex((one) => one.path === field.path) === at);
}

function resolved(node: unknown, root: unknown): Json | null {
  let at = node;
  for (let steps = 0; steps < 10 && isObject(at) && typeof at.$ref === "string"; steps += 1) {
    if (!at.$ref.startsWith("#/")) return null;
    at = at.$ref.slice(2).split("/").reduce<unknown>(
      (from, part) => (isObject(from) ? from[part.replaceAll("~1", "/").replaceAll("~0", "~")] : undefined), root);
  }
  return isObject(at) ? at : null;
}

function typeOf(schema: Json, root: unknown): string {
  if (Array.isArray(schema.enum)) return schema.enum.map((one) => JSON.stringify(one)).join(" or ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  const types = Array.isArray(schema.type) ? schema.type.map(String) : typeof schema.type === "string" ? [schema.type] : [];
  const words = types.map((type) => (type === "array" ? `list of ${typeOf(resolved(schema.items, root) ?? {}, root)}` : type));
  const word = words.join(" or ") || (isObject(schema.properties) ? "object" : "any");
  return typeof schema.format === "string" ? `${word} (${schema.format})` : word;
}
