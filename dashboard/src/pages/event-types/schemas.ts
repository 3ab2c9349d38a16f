// A schema with its example, as the editor has them apart and the gateway keeps them together.
import { trySchema } from "../../api/queries/event-types";
import { ApiProblem } from "../../api/client";
import { readJson } from "../../parts/CodeEditorPlaces";
import type { SchemaChecked, SchemaFinding } from "../../parts/SchemaEditor";

const pretty = (value: unknown): string => JSON.stringify(value, null, 2);

/** Both as texts. */
export interface SchemaTexts {
  schema: string;
  example: string;
}

/** The schema without its first example, and that example. */
export function apart(schema: unknown): SchemaTexts {
  if (schema === undefined || schema === null) return { schema: "", example: "" };
  if (typeof schema !== "object" || Array.isArray(schema)) return { schema: pretty(schema), example: "" };
  const { examples, ...rest } = schema as { examples?: unknown };
  if (!Array.isArray(examples) || examples.length === 0) return { schema: pretty(schema), example: "" };
  const [first, ...others] = examples as unknown[];
  return { schema: pretty(others.length > 0 ? { ...rest, examples: others } : rest), example: pretty(first) };
}

/** Both together; null if there is no schema, and what is wrong if one of them is not JSON. */
export function together({ schema, example }: SchemaTexts): { schema: unknown } | { wrong: string } {
  if (schema.trim() === "") return example.trim() === "" ? { schema: null } : { wrong: "An example needs a schema." };
  const read = readJson(schema);
  if ("problem" in read) return { wrong: `The schema ${read.problem.message}.` };
  if (example.trim() === "") return { schema: read.value };
  const given = readJson(example);
  if ("problem" in given) return { wrong: `The example ${given.problem.message}.` };
  if (typeof read.value !== "object" || read.value === null) return { wrong: "A schema with an example has to be an object." };
  const others = (read.value as { examples?: unknown }).examples;
  return { schema: { ...read.value, examples: [given.value, ...(Array.isArray(others) ? (others as unknown[]) : [])] } };
}

/** Asks the gateway about both. */
export async function checkSchema(schema: unknown, example: unknown): Promise<SchemaChecked> {
  const tried = await trySchema(schema, example);
  return {
    schema: tried.schema ? [tried.schema] : [],
    example: tried.violations,
    ...(tried.example !== undefined && tried.example !== null && { made: tried.example }),
  };
}

/** What the gateway refused of a schema when it was stored, without the version before it. */
export function refusedOf(problem: unknown, version: string): SchemaFinding[] {
  if (!(problem instanceof ApiProblem)) return [];
  const begin = `schemas.${version}`;
  return problem.flaws.filter((flaw) => flaw.place.startsWith(begin)).map((flaw) => ({
    path: flaw.place.slice(begin.length).split(".").join("/"), message: flaw.text,
  }));
}
