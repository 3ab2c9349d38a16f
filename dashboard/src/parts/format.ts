const whole = new Intl.NumberFormat();
const short = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });

/** A count, short from ten thousand on. */
export const count = (value: number): string => (value < 10_000 ? whole : short).format(value);

/** A count in full. */
export const fullCount = (value: number): string => whole.format(value);

/** `1 event`, `2 events`. */
export const counted = (value: number, one: string, many = `${one}s`): string =>
  `${count(value)} ${value === 1 ? one : many}`;

/** A size in bytes, in powers of 1024. */
export function bytes(value: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let size = value;
  let unit = 0;
  while (size >= 1024 && unit < units.length - 1) { size /= 1024; unit += 1; }
  return `${unit === 0 || size >= 100 ? Math.round(size) : size.toFixed(1)} ${units[unit]}`;
}

/** A length of time, in the unit that fits it. */
export function duration(ms: number): string {
  if (ms === 0) return "0 ms";
  if (ms < 1) return "<1 ms";
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${trimmed(ms / 1_000)} s`;
  if (ms < 3_600_000) return `${trimmed(ms / 60_000)} min`;
  if (ms < 172_800_000) return `${trimmed(ms / 3_600_000)} h`;
  return `${trimmed(ms / 86_400_000)} d`;
}

const trimmed = (value: number) => (value >= 100 ? value.toFixed(0) : value.toFixed(1).replace(/\.0$/, ""));

/** A part of a whole in per cent; never 100 % while something is missing. `–` of nothing. */
export function percent(part: number, all: number): string {
  if (all === 0) return "–";
  const exact = (part / all) * 100;
  if (exact === 100 || exact === 0) return `${exact} %`;
  const digits = exact > 99 ? 2 : 1;
  const scale = 10 ** digits;
  return `${Math.floor(exact * scale) / scale} %`;
}
