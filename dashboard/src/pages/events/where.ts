// Conditions on a payload as people write them (`data.object.id = x`), made into the document of the
// endpoint filters, which the gateway understands.

const OPERATORS: Record<string, string | null> = {
  "=": null, "==": null, "!=": "$neq", ">=": "$gte", "<=": "$lte", ">": "$gt", "<": "$lt", "^=": "$startsWith", "$=": "$endsWith", "~": "$in",
};
const CONDITION = /^\s*(.+?)\s*(==|!=|>=|<=|\^=|\$=|=|>|<|~)\s*(.*)$/su;
const EXISTS = /^\s*(.+?)\s+exists\s*$/su;

/** The words that the page shows beside the field. */
export const WHERE_HELP = "path = value. Also !=, >, <, ^= (begins), $= (ends), ~ (contains), and `path exists`.";

/** The filter document for a condition and a document, as JSON; undefined if there is neither. Throws what is wrong. */
export function bodyFilter(where: string | undefined, filter: string | undefined): string | undefined {
  const document = filter?.trim() ? parsed(filter) : null;
  const condition = where?.trim() ? { body: conditionOf(where) } : null;
  if (document && condition) return JSON.stringify({ $and: [condition, document] });
  const only = document ?? condition;
  return only ? JSON.stringify(only) : undefined;
}

function parsed(filter: string): object {
  let document: unknown;
  try {
    document = JSON.parse(filter);
  } catch (error) {
    throw new Error(`The filter is no JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (typeof document !== "object" || document === null || Array.isArray(document)) {
    throw new Error('The filter is a JSON object such as {"body": {"type": "x"}}.');
  }
  return document;
}

function conditionOf(where: string): unknown {
  const exists = EXISTS.exec(where);
  if (exists) return nested(names(exists[1] ?? ""), { $exist: true });
  const found = CONDITION.exec(where);
  if (!found) throw new Error("Write a condition as path = value, such as data.object.id = in_123.");
  const operator = OPERATORS[found[2] ?? "="];
  const value = valueOf(found[3] ?? "");
  return nested(names(found[1] ?? ""), operator ? { [operator]: operator === "$in" ? String(value) : value } : value);
}

/** Numbers, true, false, null and quoted texts are what JSON says; everything else is a text. */
function valueOf(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null) return value;
  } catch {
    // A plain word.
  }
  return text;
}

const NAME = /([^.[\]]+)|\[(\d+)\]|\['((?:[^'\\]|\\.)*)'\]/gu;

/** The names of a path: `data.items[0]['a name']`. An item's number is dropped: a filter asks for any item. */
function names(path: string): string[] {
  const found: string[] = [];
  for (const [, plain, index, quoted] of path.replace(/^\$\.(?=.)/u, "").matchAll(NAME)) {
    if (index !== undefined) continue;
    const name = (plain ?? quoted ?? "").replace(/\\(.)/gu, "$1");
    found.push(name.startsWith("$") ? `$${name}` : name);
  }
  if (found.length === 0) throw new Error("The condition has no path before the operator.");
  return found;
}

const nested = (path: string[], value: unknown): unknown => path.reduceRight<unknown>((inner, name) => ({ [name]: inner }), value);

/** A condition that finds events with this value (as JSON writes it) at this place. */
export function whereIs(path: string, source: string): string {
  if (source[0] !== '"') return `${path} = ${source}`;
  const said = valueOf(source);
  const plain = typeof said === "string" && said !== "" && valueOf(said) === said && said.trim() === said && !/\s/u.test(said);
  return `${path} = ${plain ? said : source}`;
}
