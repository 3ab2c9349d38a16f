// Text that others wrote, made honest: what has no shape of its own or moves what stands around it is
// shown by a sign. Line ends and tabs stay when the place can show them.

/** What stands for a sign that cannot be seen: its code point in angle brackets, or its picture. */
function sign(code: number): string {
  if (code < 0x20) return String.fromCodePoint(0x2400 + code);
  if (code === 0x7f) return "\u2421";
  return `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
}

// C0 but tab, line feed and carriage return; DEL and C1; soft hyphen and the rest without a shape; marks,
// embeddings, overrides and isolates of writing direction; line and paragraph separators; joiners that
// are alone; invisible operators; fillers; interlinear marks; tags; lone surrogates; noncharacters.
const HIDDEN = new RegExp(
  "[\\u0000-\\u0008\\u000B\\u000C\\u000E-\\u001F\\u007F-\\u009F\\u00AD\\u034F\\u061C\\u115F\\u1160" +
    "\\u17B4\\u17B5\\u180B-\\u180F\\u200B-\\u200F\\u2028-\\u202E\\u2060-\\u206F\\u3164\\uFEFF\\uFFA0" +
    "\\uFFF0-\\uFFFB\\uFFFE\\uFFFF\\u{1D173}-\\u{1D17A}\\u{E0000}-\\u{E0FFF}\\p{Cs}]",
  "gu",
);
const SOME = new RegExp(HIDDEN.source, "u");
const BREAKS = /[\t\n\r]/g;

// A zero-width joiner between emoji is part of a picture, not a trick.
const JOINED = /(?<=[\p{Extended_Pictographic}\u{1F3FB}-\u{1F3FF}\uFE0F])\u200D(?=\p{Extended_Pictographic})/gu;
const KEPT = "\uE000";

/**
 * The text with everything invisible made visible: control characters, direction overrides, zero-width
 * signs. `oneLine` also shows tabs and line ends, for places that have one line.
 */
export function visible(text: string, oneLine = false): string {
  let shown = text;
  if (SOME.test(shown)) {
    shown = shown
      .replace(JOINED, KEPT)
      .replace(HIDDEN, (hidden) => sign(hidden.codePointAt(0) ?? 0))
      .replaceAll(KEPT, "\u200D");
  }
  return oneLine ? shown.replace(BREAKS, (mark) => sign(mark.charCodeAt(0))) : shown;
}

/** Whether the text has signs that `visible` would show. */
export const hasHidden = (text: string): boolean => SOME.test(text);
