// How the operator wants the portal to look: name, logo, colour. Whatever the colour is, text stays
// readable: a button has black or white letters, and where the colour itself writes (links, outlines) it
// is made darker or lighter until it has the contrast that WCAG asks of small text.
import { createTheme, type CSSVariablesResolver, type MantineColorsTuple, type MantineThemeOverride } from "@mantine/core";

import { theme as base, variables } from "../theme";
import { colorOf, type Look } from "./start";

export interface Brand {
  name: string;
  logo: string | null;
  /** `#rrggbb` */
  color: string | null;
  colorScheme: "auto" | "light" | "dark";
  supportUrl: string | null;
}

const PLAIN: Brand = { name: "Webhooks", logo: null, color: null, colorScheme: "auto", supportUrl: null };
const COLOR_DEFAULT = "#3058aa";

/** Asks the gateway; without an answer the portal looks plain and works all the same. */
export async function loadBrand(): Promise<Brand> {
  try {
    const answer = await fetch("/portal/config.json", { credentials: "omit", referrerPolicy: "no-referrer" });
    if (!answer.ok) return PLAIN;
    return checked((await answer.json()) as Partial<Record<keyof Brand, unknown>>);
  } catch {
    return PLAIN;
  }
}

function checked(told: Partial<Record<keyof Brand, unknown>>): Brand {
  const text = (value: unknown) => (typeof value === "string" && value !== "" ? value : null);
  const support = text(told.supportUrl);
  return {
    name: text(told.name) ?? PLAIN.name,
    // Nothing is ever loaded from elsewhere.
    logo: text(told.logo)?.startsWith("/") ? text(told.logo) : null,
    color: colorOf(text(told.color)),
    colorScheme: told.colorScheme === "light" || told.colorScheme === "dark" ? told.colorScheme : "auto",
    supportUrl: support && /^(https?|mailto):/i.test(support) ? support : null,
  };
}

type Rgb = [number, number, number];

const BLACK: Rgb = [0, 0, 0];
const WHITE: Rgb = [255, 255, 255];
/** What the colour is written on: the page, and a tint of itself on it. */
const PAPER: Rgb = [248, 249, 250];
const INK: Rgb = [46, 46, 46];
/** A little more than the 4.5 that small text needs, because tints take some away. */
const READABLE = 5.2;

export const rgbOf = (hex: string): Rgb => [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16)) as Rgb;
const hexOf = (rgb: Rgb): string => `#${rgb.map((part) => Math.round(part).toString(16).padStart(2, "0")).join("")}`;
const mixed = (from: Rgb, to: Rgb, share: number): Rgb => from.map((part, at) => part + ((to[at] ?? 0) - part) * share) as Rgb;

/** Relative luminance as WCAG defines it. */
function luminance(rgb: Rgb): number {
  const [r = 0, g = 0, b = 0] = rgb.map((part) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** The contrast of two colours, 1 to 21. */
export function contrast(one: Rgb, other: Rgb): number {
  const [dark = 0, light = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

/** The colour moved towards black or white until it can be read on `ground`. */
export function readableOn(color: Rgb, ground: Rgb): Rgb {
  const goal = luminance(ground) > 0.18 ? BLACK : WHITE;
  for (let share = 0; share < 1; share += 0.02) {
    const tried = mixed(color, goal, share);
    if (contrast(tried, ground) >= READABLE) return tried;
  }
  return goal;
}

/** Ten steps from light to dark with the colour itself as the eighth, where the theme takes it from. */
function steps(color: Rgb): MantineColorsTuple {
  const lighter = [0.94, 0.86, 0.74, 0.6, 0.45, 0.3, 0.15].map((share) => hexOf(mixed(color, WHITE, share)));
  const darker = [0.16, 0.34].map((share) => hexOf(mixed(color, BLACK, share)));
  return [...lighter, hexOf(color), ...darker] as unknown as MantineColorsTuple;
}

export interface Painted {
  theme: MantineThemeOverride;
  resolver: CSSVariablesResolver;
  scheme: "light" | "dark" | null;
}

/** The theme of a brand; the embedding page's wishes win. */
export function paint(brand: Brand, look: Look): Painted {
  const hex = look.color ?? brand.color ?? COLOR_DEFAULT;
  const color = rgbOf(hex);
  const letters = contrast(color, WHITE) >= 4.5 ? WHITE : BLACK;
  const filled = contrast(color, letters) >= 4.5 ? color : readableOn(color, letters);
  // Under the pointer the letters only become clearer.
  const hover = hexOf(mixed(filled, letters === WHITE ? BLACK : WHITE, 0.12));
  const onPaper = hexOf(readableOn(color, PAPER));
  const onInk = hexOf(readableOn(color, INK));
  const tint = (share: number) => `rgba(${color.join(", ")}, ${share})`;
  // Everything that is drawn in the dashboard's accent is drawn in the brand's colour here.
  const writing = (text: string, share: number) => ({
    "--mantine-color-anchor": text,
    "--mantine-color-ink-text": text,
    "--mantine-color-ink-filled": hexOf(filled),
    "--mantine-color-ink-filled-hover": hover,
    "--mantine-color-ink-outline": text,
    "--mantine-color-ink-light": tint(share),
    "--mantine-color-ink-light-hover": tint(share + 0.04),
    "--mantine-color-ink-light-color": text,
    "--mantine-primary-color-contrast": hexOf(letters),
    "--becket-focus": text,
  });
  const threshold = luminance(filled) + (letters === WHITE ? 0.001 : -0.001);
  return {
    theme: createTheme({
      ...base,
      colors: { ...base.colors, ink: steps(filled) },
      autoContrast: true,
      // Where black letters begin to be clearer than white ones, so that this colour gets its own.
      luminanceThreshold: letters === WHITE ? Math.max(0.18, threshold) : Math.min(0.18, threshold),
    }),
    resolver: (theme) => {
      const { variables: both, light, dark } = variables(theme);
      return { variables: both, light: { ...light, ...writing(onPaper, 0.08) }, dark: { ...dark, ...writing(onInk, 0.14) } };
    },
    scheme: look.theme ?? (brand.colorScheme === "auto" ? null : brand.colorScheme),
  };
}
