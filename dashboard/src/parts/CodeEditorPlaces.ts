// Where in a JSON text a value stands, so that what the gateway says about a path is marked there.

import type { CodeProblem } from "./CodeEditor";

/** A name or an index, in the order that leads to a value. */
export type Step = string | number;

export interface Place {
  path: Step[];
  /** The name of a field, or the value of a list's item: where it begins and ends in the text. */
  from: number;
  to: number;
}

/** Every field and item of a JSON text in its order; what comes before a mistake if it is not JSON. */
export function places(text: string): Place[] {
  const found: Place[] = [];
  let at = 0;
  const space = () => {
    while (/[\s,:]/.test(text[at] ?? "")) at += 1;
  };
  const string = (): string => {
    const from = at;
    at += 1;
    while (at < text.length && text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
    at += 1;
    try {
      return JSON.parse(text.slice(from, at)) as string;
    } catch {
      return text.slice(from + 1, at - 1);
    }
  };
  const value = (path: Step[]): void => {
    space();
    const open = text[at];
    if (open === "{" || open === "[") {
      at += 1;
      for (let index = 0; ; index += 1) {
        space();
        if (at >= text.length || text[at] === "}" || text[at] === "]") break;
        const from = at;
        const step: Step = open === "{" ? string() : index;
        const place: Place = { path: [...path, step], from, to: at };
        found.push(place);
        const before = at;
        value(place.path);
        if (open === "[") place.to = at;
        if (at === before) at += 1;
      }
      at += 1;
    } else if (open === '"') {
      string();
    } else {
      while (at < text.length && !/[\s,\]}]/.test(text[at] ?? "")) at += 1;
    }
  };
  value([]);
  return found;
}

/** Line and columns, from 1, of a stretch of a text; cut at the end of its first line. */
export function lineOf(text: string, from: number, to: number): Pick<CodeProblem, "line" | "column" | "endColumn"> {
  const before = text.slice(0, from);
  const start = before.lastIndexOf("\n") + 1;
  const end = text.indexOf("\n", from);
  const last = end < 0 ? to : Math.min(to, end);
  return { line: before.split("\n").length, column: from - start + 1, endColumn: last - start + 1 };
}

/** A path as messages about filters write it: `body.items[0].$or`, names with other signs in quotes. */
export function clauseOf(path: Step[]): string {
  return path.reduce<string>((text, step) => {
    if (typeof step === "number") return `${text}[${step}]`;
    if (!/^[\p{L}\p{N}_$-]+$/u.test(step)) return `${text}['${step}']`;
    return text === "" ? step : `${text}.${step}`;
  }, "");
}

/** What is wrong, at the place that a clause in backticks names, or in the whole. */
export function clauseProblem(text: string, message: string): CodeProblem {
  const named = [...message.matchAll(/`([^`]+)`/g)].map((match) => match[1]);
  const place = places(text).find(({ path }) => named.includes(clauseOf(path)));
  return place ? { message, ...lineOf(text, place.from, place.to) } : { message };
}

/** What is wrong, at the deepest place of the text that lies on the way to a path. */
export function pathProblem(text: string, path: string[], message: string): CodeProblem {
  const onTheWay = places(text).filter((place) =>
    place.path.length <= path.length && place.path.every((step, index) => String(step) === path[index]));
  const deepest = onTheWay.reduce<Place | undefined>((best, place) => (best && best.path.length >= place.path.length ? best : place), undefined);
  return deepest ? { message, ...lineOf(text, deepest.from, deepest.to) } : { message };
}

/** The parts of a JSON pointer. */
export const pointerSteps = (pointer: string): string[] =>
  pointer.split("/").slice(1).map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));

/** A text as JSON, or where it is none. */
export function readJson(text: string): { value: unknown } | { problem: CodeProblem } {
  try {
    return { value: JSON.parse(text) as unknown };
  } catch (error) {
    const told = error instanceof Error ? error.message : String(error);
    const at = /position (\d+)/.exec(told)?.[1];
    const message = text.trim() === "" ? "is empty" : `is not JSON: ${told.replace(/ in JSON at position.*$| \(line.*$/, "")}`;
    return { problem: at === undefined ? { message } : { message, ...lineOf(text, Number(at), Number(at) + 1) } };
  }
}
