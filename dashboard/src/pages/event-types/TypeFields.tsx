// The fields of an event type besides its schema.
import { Select, Switch, TagsInput, Textarea, TextInput } from "@mantine/core";
import type { UseFormReturnType } from "@mantine/form";

export interface TypeDraft {
  name: string;
  description: string;
  groupName: string;
  featureFlags: string[];
  deprecated: boolean;
  validatePayloads: boolean;
  /** The name of a schedule, "own", or empty for that of the endpoint. */
  retry: string;
  delays: string[];
}

export const NAME = /^[a-zA-Z0-9\-_.]{1,256}$/;
const RETRIES = [
  { value: "", label: "As the endpoint says" }, { value: "standard", label: "Standard: about three days" },
  { value: "short", label: "Short" }, { value: "none", label: "None: one attempt" }, { value: "own", label: "Waits of its own" },
];

export const wholeSeconds = (text: string): boolean => /^\d+$/.test(text.trim());

/** The schedule as the API has it. */
export function retryOf({ retry, delays }: TypeDraft): string | number[] | null {
  if (retry === "own") return delays.map((text) => Number(text.trim()));
  return retry === "" ? null : retry;
}

/** What is wrong in the fields, by name. */
export const typeRules = {
  name: (name: string) => (NAME.test(name.trim()) ? null : "Letters, digits, dot, dash and underscore, such as invoice.paid."),
  delays: (delays: string[], draft: TypeDraft) =>
    (draft.retry === "own" && !delays.every(wholeSeconds) ? "Each wait is a number of seconds, such as 30." : null),
};

/** Shows the fields; the name only where it is new. */
export function TypeFields({ form, named }: { form: UseFormReturnType<TypeDraft>; named: boolean }) {
  return (
    <>
      {!named && (
        <TextInput label="Name" withAsterisk required data-autofocus placeholder="invoice.paid" spellCheck={false} classNames={{ input: "mono" }}
          description="What happened to what. It cannot be changed later." {...form.getInputProps("name")} />
      )}
      <Textarea label="Description" autosize minRows={2} placeholder="An invoice was paid in full." {...form.getInputProps("description")} />
      <TextInput label="Group" placeholder="invoice" description="Where it stands in the catalogue." {...form.getInputProps("groupName")} />
      <TagsInput label="Feature flags" placeholder="Enter adds one" clearable
        description="With flags, only customers whose portal link has one of them are shown this event type." {...form.getInputProps("featureFlags")} />
      <Select label="Retries" data={RETRIES} allowDeselect={false} description="When deliveries of this type are tried again." {...form.getInputProps("retry")} />
      {form.values.retry === "own" && (
        <TagsInput label="Waits in seconds" placeholder="30" description="The wait before each further attempt, in their order." allowDuplicates {...form.getInputProps("delays")} />
      )}
      <Switch label="Check payloads" description="An event whose payload breaks the schema is refused and not stored." {...form.getInputProps("validatePayloads", { type: "checkbox" })} />
      <Switch label="Deprecated" description="Still sent, but the catalogue says not to build on it." {...form.getInputProps("deprecated", { type: "checkbox" })} />
    </>
  );
}
