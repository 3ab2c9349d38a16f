// What the pages look like: one calm accent, small type, and colours whose contrast passes 4.5:1 in
// both schemes, also on tinted backgrounds. States have colours of their own (parts/State).
import { createTheme, type CSSVariablesResolver } from "@mantine/core";

import { palette } from "./palette";

const small = { defaultProps: { size: "xs" } };
const over = { closeButtonProps: { "aria-label": "Close" }, overlayProps: { backgroundOpacity: 0.4 } };

export const theme = createTheme({
  primaryColor: "ink",
  primaryShade: { light: 7, dark: 7 },
  colors: palette,
  black: "#1b1f27",
  defaultRadius: "sm",
  radius: { xs: "3px", sm: "5px", md: "8px", lg: "12px", xl: "20px" },
  fontSizes: { xs: "0.75rem", sm: "0.8125rem", md: "0.875rem", lg: "1rem", xl: "1.1875rem" },
  fontFamily: "Inter, system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Liberation Sans', sans-serif",
  fontFamilyMonospace: "ui-monospace, SFMono-Regular, Menlo, Consolas, 'Liberation Mono', 'DejaVu Sans Mono', monospace",
  headings: {
    fontWeight: "600",
    sizes: {
      h1: { fontSize: "1.375rem", lineHeight: "1.3" },
      h2: { fontSize: "1.125rem", lineHeight: "1.35" },
      h3: { fontSize: "0.9375rem", lineHeight: "1.4" },
      h4: { fontSize: "0.875rem", lineHeight: "1.45" },
      h5: { fontSize: "0.8125rem", lineHeight: "1.45" },
      h6: { fontSize: "0.75rem", lineHeight: "1.45" },
    },
  },
  respectReducedMotion: true,
  cursorType: "pointer",
  focusClassName: "focus-ring",
  components: {
    Button: small, TextInput: small, PasswordInput: small, NumberInput: small, Select: small,
    MultiSelect: small, TagsInput: small, Textarea: small, Autocomplete: small, NativeSelect: small,
    FileInput: small, SegmentedControl: small, Checkbox: small, Radio: small, Switch: small,
    Text: { defaultProps: { size: "sm" } },
    Anchor: { defaultProps: { size: "sm" } },
    Modal: { defaultProps: { ...over, centered: true } },
    Drawer: { defaultProps: over },
    Tooltip: { defaultProps: { openDelay: 250, multiline: true, maw: 320, fz: "xs", events: { hover: true, focus: true, touch: true } } },
    Card: { defaultProps: { withBorder: true, padding: "md", radius: "md" } },
    Table: { defaultProps: { verticalSpacing: 7, horizontalSpacing: "xs", fz: "sm" } },
  },
});

const rgb = (hex: string) => [1, 3, 5].map((from) => parseInt(hex.slice(from, from + 2), 16)).join(" ");

/** Mantine's variables where its own values are too faint to read. */
export const variables: CSSVariablesResolver = () => {
  const light: Record<string, string> = {
    "--mantine-color-dimmed": "#5a5f68",
    "--mantine-color-placeholder": "#686d76",
    "--mantine-color-default-border": "var(--mantine-color-gray-3)",
    "--mantine-color-error": "var(--mantine-color-red-7)",
    "--mantine-color-success": "var(--mantine-color-green-7)",
    "--becket-surface": "var(--mantine-color-gray-0)",
    "--becket-focus": "var(--mantine-color-ink-6)",
  };
  const dark: Record<string, string> = {
    "--mantine-color-dimmed": "var(--mantine-color-dark-2)",
    "--mantine-color-placeholder": "#969aa2",
    "--mantine-color-default-border": "#33373e",
    "--mantine-color-error": "var(--mantine-color-red-4)",
    "--mantine-color-success": "var(--mantine-color-green-4)",
    "--becket-surface": "#1b1f25",
    "--becket-focus": "var(--mantine-color-ink-4)",
  };
  for (const [name, shades] of Object.entries(palette)) {
    if (name === "dark") continue;
    light[`--mantine-color-${name}-light`] = `var(--mantine-color-${name}-1)`;
    light[`--mantine-color-${name}-light-hover`] = `var(--mantine-color-${name}-2)`;
    light[`--mantine-color-${name}-light-color`] = `var(--mantine-color-${name}-8)`;
    light[`--mantine-color-${name}-text`] = `var(--mantine-color-${name}-7)`;
    dark[`--mantine-color-${name}-light`] = `rgb(${rgb(shades[5])} / 15%)`;
    dark[`--mantine-color-${name}-light-hover`] = `rgb(${rgb(shades[5])} / 24%)`;
    dark[`--mantine-color-${name}-light-color`] = `var(--mantine-color-${name}-3)`;
    dark[`--mantine-color-${name}-text`] = `var(--mantine-color-${name}-4)`;
  }
  // Of grey the fourth step is a line, not a text.
  light["--mantine-color-gray-light-color"] = "var(--mantine-color-gray-7)";
  dark["--mantine-color-gray-light-color"] = "var(--mantine-color-dark-1)";
  dark["--mantine-color-gray-text"] = "var(--mantine-color-dark-1)";
  return { variables: {}, light, dark };
};
