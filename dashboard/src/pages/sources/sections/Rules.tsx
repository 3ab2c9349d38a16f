import { Button, Card, Group, NumberInput, Select, SimpleGrid, Stack, Switch, TagsInput, Text, TextInput, Title } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, type ReactNode, useState } from "react";

import { type Settings, type Source, changeSource } from "../../../api/queries/sources";
import { CodeEditor } from "../../../parts/CodeEditor";
import { Trouble } from "../../../parts/Trouble";
import { notify } from "../../../parts/notify";
import { PERIODS, type Figure, type RulesForm, changesOf, flawOf, formOf } from "../rules";

/** Limits, repeats and the shape of payloads. */
export function Rules({ source, locked }: { source: Source; locked: boolean }) {
  if (!source.settings) {
    return <Text c="dimmed">A source that receives nothing has no rules.</Text>;
  }
  // What somebody else saved meanwhile shows up as a new form.
  return <Form key={JSON.stringify(source.settings)} source={source} settings={source.settings} locked={locked} />;
}

export interface PartProps { form: RulesForm; set: (change: Partial<RulesForm>) => void; locked: boolean }

const figure = (value: string | number): Figure => (typeof value === "number" ? value : "");

function Form({ source, settings, locked }: { source: Source; settings: Settings; locked: boolean }) {
  const queries = useQueryClient();
  const [form, setForm] = useState(() => formOf(settings));
  const set = (change: Partial<RulesForm>) => setForm((before) => ({ ...before, ...change }));
  const flaw = flawOf(form);
  const changes = flaw === null ? changesOf(settings, form) : {};
  const changed = Object.keys(changes).length;
  const save = useMutation({
    mutationFn: () => changeSource(source.id, changes),
    onSuccess: () => {
      notify.done("The rules are in force.");
      void queries.invalidateQueries({ queryKey: ["sources"] });
    },
  });
  function submit(event: FormEvent) {
    event.preventDefault();
    if (!save.isPending && changed > 0 && flaw === null) save.mutate();
  }
  const part = { form, set, locked };
  return (
    <form onSubmit={submit}>
      <fieldset className="bare" disabled={locked}>
        <Stack>
          <Limits {...part} />
          <Repeats {...part} />
          <Payloads {...part} />
          {save.error && <Trouble error={save.error} />}
          {!locked && (
            <Group className="save-bar" justify="flex-end">
              <Text size="sm" c="dimmed" role="status">
                {flaw ?? (changed === 0 ? "Nothing is changed." : `${changed} ${changed === 1 ? "rule is" : "rules are"} changed.`)}
              </Text>
              <Button variant="default" disabled={changed === 0 && flaw === null} onClick={() => setForm(formOf(settings))}>Undo</Button>
              <Button type="submit" disabled={changed === 0 || flaw !== null} loading={save.isPending}>Save the rules</Button>
            </Group>
          )}
        </Stack>
      </fieldset>
    </form>
  );
}

function Part({ title, lead, children }: { title: string; lead: string; children: ReactNode }) {
  return (
    <Card component="section" aria-label={title}>
      <Title order={2} size="h3">{title}</Title>
      <Text c="dimmed" mb="sm">{lead}</Text>
      {children}
    </Card>
  );
}

function Limits({ form, set, locked }: PartProps) {
  return (
    <Part title="Who may send, and how much" lead="An empty field means no limit of this source's own.">
      <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="md">
        <Group gap="xs" align="flex-end" wrap="nowrap">
          <NumberInput label="Genuine requests accepted" description="More are answered 429, so that the sender comes again." min={1} allowDecimal={false} placeholder="no limit"
            style={{ flex: 1 }} value={form.rateCount} onChange={(value) => set({ rateCount: figure(value) })} />
          <Select aria-label="In what time" w={120} data={PERIODS} allowDeselect={false} disabled={locked} value={form.ratePeriodMs} onChange={(value) => set({ ratePeriodMs: value ?? "1000" })} />
        </Group>
        <NumberInput label="Largest body, in MiB" description="Larger ones are answered 413." min={0.001} decimalScale={3} placeholder="what the provider needs"
          value={form.bodyLimitMib} onChange={(value) => set({ bodyLimitMib: figure(value) })} />
        <NumberInput label="Age: how far off a signed time may be, in seconds" description="Older ones could be recordings. Empty: what the provider says." min={0} allowDecimal={false} placeholder="the provider's own"
          value={form.toleranceS} onChange={(value) => set({ toleranceS: figure(value) })} />
        <NumberInput label="Tell people if it is quiet for this many minutes" description="Empty: learned from what is usual." min={1} placeholder="learned"
          value={form.quietMinutes} onChange={(value) => set({ quietMinutes: figure(value) })} />
        <TagsInput label="Networks that may send" description="Such as 203.0.113.0/24; others are refused. Empty: any." placeholder={form.allowIps.length === 0 ? "any" : ""} disabled={locked}
          value={form.allowIps} onChange={(allowIps) => set({ allowIps })} splitChars={[",", " "]} acceptValueOnBlur />
        <TagsInput label="Event types that are kept" description="Others are answered with success and not delivered. A final * stands for any ending." placeholder={form.eventTypes.length === 0 ? "every type" : ""} disabled={locked}
          value={form.eventTypes} onChange={(eventTypes) => set({ eventTypes })} splitChars={[",", " "]} acceptValueOnBlur />
      </SimpleGrid>
    </Part>
  );
}

function Repeats({ form, set }: PartProps) {
  return (
    <Part title="Repeats" lead="A request that came before is answered with the first event's id and makes nothing new.">
      <Stack>
        <Switch label="Recognise repeats" checked={form.dedupe} onChange={(change) => set({ dedupe: change.currentTarget.checked })} />
        {form.dedupe && (
          <SimpleGrid cols={{ base: 1, sm: 3 }} spacing="md">
            <NumberInput label="By delivery id, for hours" min={0} decimalScale={3} required value={form.dedupeHours} onChange={(value) => set({ dedupeHours: figure(value) })} />
            <NumberInput label="By the body, for minutes" min={0} decimalScale={3} required value={form.dedupeHashMinutes} onChange={(value) => set({ dedupeHashMinutes: figure(value) })} />
            <TextInput label="Where the delivery id is" placeholder="what the provider says" spellCheck={false} autoComplete="off"
              value={form.dedupeId} onChange={(change) => set({ dedupeId: change.currentTarget.value })} />
          </SimpleGrid>
        )}
      </Stack>
    </Part>
  );
}

function Payloads({ form, set, locked }: PartProps) {
  const flaw = flawOf(form);
  return (
    <Part title="The shape of payloads" lead="A genuine request whose body breaks these is refused and kept, or accepted all the same.">
      <Stack>
        <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="md">
          <TagsInput label="Fields that must be there" description="Paths such as data.id." placeholder={form.required.length === 0 ? "none" : ""} disabled={locked}
            value={form.required} onChange={(required) => set({ required })} splitChars={[",", " "]} acceptValueOnBlur />
          <Select label="A body that breaks a rule" allowDeselect={false} disabled={locked} value={form.onInvalid} onChange={(value) => set({ onInvalid: value === "accept" ? "accept" : "reject" })}
            data={[{ value: "reject", label: "is refused and goes to quarantine" }, { value: "accept", label: "is accepted" }]} />
        </SimpleGrid>
        <CodeEditor label="JSON Schema of every body" language="json" description="Empty: any JSON, or none." value={form.schema} readOnly={locked} minHeight={140} maxHeight={420}
          onChange={(schema) => set({ schema })} problems={flaw && !flaw.includes("not JSON") ? [{ message: flaw }] : []} />
      </Stack>
    </Part>
  );
}
