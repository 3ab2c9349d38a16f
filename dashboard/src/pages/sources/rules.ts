// The rules of a source as a form has them, and what of them was changed.
import type { Settings, SettingsChange } from "../../api/queries/sources";

export type Figure = number | "";

export interface RulesForm {
  eventTypes: string[];
  rateCount: Figure;
  ratePeriodMs: string;
  bodyLimitMib: Figure;
  required: string[];
  schema: string;
  onInvalid: "reject" | "accept";
  dedupe: boolean;
  dedupeHours: Figure;
  dedupeHashMinutes: Figure;
  dedupeId: string;
  allowIps: string[];
  toleranceS: Figure;
  quietMinutes: Figure;
}

export const PERIODS = [
  { value: "1000", label: "a second" },
  { value: "60000", label: "a minute" },
  { value: "3600000", label: "an hour" },
];

const MIB = 1_048_576;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;

const shown = (value: number | null, unit: number): Figure => (value === null ? "" : Math.round((value / unit) * 1000) / 1000);
const meant = (value: Figure, unit: number): number | null => (value === "" ? null : Math.round(value * unit));

export function formOf(settings: Settings): RulesForm {
  const { rateLimit, dedupe } = settings;
  return {
    eventTypes: settings.eventTypes ?? [],
    rateCount: rateLimit?.count ?? "",
    ratePeriodMs: String(rateLimit?.periodMs ?? 1000),
    bodyLimitMib: shown(settings.bodyLimitBytes, MIB),
    required: settings.required,
    schema: settings.schema ? JSON.stringify(settings.schema, null, 2) : "",
    onInvalid: settings.onInvalid,
    dedupe: dedupe.enabled,
    dedupeHours: shown(dedupe.windowMs, HOUR_MS),
    dedupeHashMinutes: shown(dedupe.hashWindowMs, MINUTE_MS),
    dedupeId: dedupe.id ?? "",
    allowIps: settings.allowIps,
    toleranceS: shown(settings.toleranceMs, 1000),
    quietMinutes: shown(settings.quietAfterMs, MINUTE_MS),
  };
}

/** What the form means; throws if the schema is no JSON. */
function settingsOf(form: RulesForm): Settings {
  return {
    eventTypes: form.eventTypes.length > 0 ? form.eventTypes : null,
    rateLimit: form.rateCount === "" ? null : { count: form.rateCount, periodMs: Number(form.ratePeriodMs) },
    bodyLimitBytes: meant(form.bodyLimitMib, MIB),
    required: form.required,
    schema: form.schema.trim() === "" ? null : (JSON.parse(form.schema) as Record<string, unknown>),
    onInvalid: form.onInvalid,
    dedupe: {
      enabled: form.dedupe,
      windowMs: meant(form.dedupeHours, HOUR_MS) ?? 0,
      hashWindowMs: meant(form.dedupeHashMinutes, MINUTE_MS) ?? 0,
      id: form.dedupeId.trim() || null,
    },
    allowIps: form.allowIps,
    toleranceMs: meant(form.toleranceS, 1000),
    quietAfterMs: meant(form.quietMinutes, MINUTE_MS),
  };
}

/** What was changed, and nothing else. */
export function changesOf(settings: Settings, form: RulesForm): SettingsChange {
  const before = settingsOf(formOf(settings));
  const after = settingsOf(form);
  const names = Object.keys(after) as (keyof Settings)[];
  return Object.fromEntries(
    names.filter((name) => JSON.stringify(before[name]) !== JSON.stringify(after[name])).map((name) => [name, after[name]]),
  ) as SettingsChange;
}

/** Why the form cannot be saved; null if it can. */
export function flawOf(form: RulesForm): string | null {
  if (form.schema.trim() === "") return null;
  try {
    const schema = JSON.parse(form.schema) as unknown;
    return typeof schema === "object" && schema !== null && !Array.isArray(schema) ? null : "The schema has to be a JSON object.";
  } catch {
    return "The schema is not JSON.";
  }
}
