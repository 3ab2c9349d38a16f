// A filter of a list: free text with suggestions, taken when it is finished.
import { Autocomplete } from "@mantine/core";
import { useEffect, useState } from "react";

interface Props {
  label: string;
  placeholder: string;
  value: string | undefined;
  onChange: (value: string | undefined) => void;
  suggestions: string[];
  /** Shows the label above the field instead of only naming it. */
  labelled?: boolean;
}

export function FilterField({ label, placeholder, value, onChange, suggestions, labelled = false }: Props) {
  const [text, setText] = useState(value ?? "");
  useEffect(() => setText(value ?? ""), [value]);
  const take = (next: string) => {
    const wanted = next.trim() || undefined;
    if (wanted !== value) onChange(wanted);
  };
  return (
    <Autocomplete {...(labelled ? { label } : { "aria-label": label })} placeholder={placeholder} value={text} limit={60} clearable
      clearButtonProps={{ "aria-label": `Clear ${label.toLowerCase()}`, tabIndex: -1 }}
      data={[...new Set(suggestions)]} comboboxProps={{ width: "max-content", position: "bottom-start" }} data-filled={value ? true : undefined}
      onChange={(next) => { setText(next); if (next === "") take(""); }}
      onOptionSubmit={take} onBlur={() => take(text)}
      onKeyDown={(key) => { if (key.key === "Enter") take(text); }} />
  );
}
