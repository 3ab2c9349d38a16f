// A text or bytes of any length, of which only the lines in sight are in the page.
import "./tree/tree.css";

import { useMediaQuery } from "@mantine/hooks";

import { visible } from "./foreign";
import { VirtualRows } from "./VirtualRows";

const ROW_PX = 20;

/** A text whose lines begin at `lines`; the last entry is the end. */
export function TextRows({ text, lines, label }: { text: string; lines: Uint32Array; label: string }) {
  const count = Math.max(0, lines.length - 1);
  return (
    <VirtualRows role="group" label={label} className="text-rows" count={count} rowPx={ROW_PX} fit render={(index) => (
      <div key={index} className="text-row foreign" dir="ltr">{visible(text.slice(lines[index] ?? 0, lines[index + 1] ?? 0).replace(/\r?\n$/, ""))}</div>
    )} />
  );
}

const hex = (value: number, digits: number) => value.toString(16).padStart(digits, "0");
const shown = (byte: number) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "·");

/** Bytes in hex, and what of them is text. */
export function HexRows({ bytes, label }: { bytes: ArrayBuffer; label: string }) {
  const narrow = useMediaQuery("(max-width: 48em)", false, { getInitialValueInEffect: false }) ?? false;
  const width = narrow ? 8 : 16;
  const all = new Uint8Array(bytes);
  return (
    <VirtualRows role="group" label={label} className="text-rows" count={Math.ceil(all.length / width)} rowPx={ROW_PX} fit render={(index) => {
      const part = all.subarray(index * width, (index + 1) * width);
      const digits = Array.from(part, (byte, at) => (at === width / 2 ? ` ${hex(byte, 2)}` : hex(byte, 2))).join(" ");
      return (
        <div key={index} className="text-row hex-row" dir="ltr">
          <span className="at">{hex(index * width, 6)}</span>
          <span className="hex">{digits.padEnd(width * 3)}</span>
          <span>{Array.from(part, shown).join("")}</span>
        </div>
      );
    }} />
  );
}
