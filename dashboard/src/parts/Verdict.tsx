// The signature doctor: what is wrong with a request, how that was found, and where to repair it.
import "./facts.css";
import "./verdict.css";

import { Alert, Box, Code, Group, SegmentedControl, Stack, Text } from "@mantine/core";
import { IconCircleCheck, IconCircleX, IconStethoscope } from "@tabler/icons-react";
import { useState } from "react";

import type { Explanation } from "../api/queries/sources";
import { CodeBlock } from "./CodeBlock";
import { ELSEWHERE, REPAIRS, causeWord, repairOf, repairedHere, stepWord } from "./VerdictWords";
import { visible } from "./foreign";
import { bytes, count } from "./format";

/** The doctor's words, in which names and values stand between backticks. */
function Ticked({ text }: { text: string }) {
  return visible(text).split("`").map((part, index) => (index % 2 === 1 ? <Code key={index} fz="inherit">{part}</Code> : part));
}

/** Whether the request passes with the secrets of now. */
export function passesNow(explanation: Explanation | null | undefined): boolean {
  const verdict = explanation?.verdict;
  return verdict === "genuine" || (typeof verdict === "object" && verdict !== null && "genuine" in verdict);
}

interface DiagnosisProps {
  code: string;
  explanation: Explanation | null | undefined;
  /** Where the source's secret is changed, if not on this page. */
  elsewhere?: "file" | "others" | undefined;
}

/** What is wrong, in a sentence, and which setting to repair. */
export function Diagnosis({ code, explanation, elsewhere }: DiagnosisProps) {
  if (explanation && passesNow(explanation)) {
    return (
      <Alert color="green" variant="light" icon={<IconCircleCheck size={20} />} title="It passes now">
        <Text size="sm">{explanation.sentence} It was refused when it came; verify it again to make an event of it.</Text>
      </Alert>
    );
  }
  const cause = explanation?.likely_cause ?? null;
  const repair = repairOf(cause, code, explanation?.provider);
  return (
    <Alert color="red" variant="light" icon={<IconStethoscope size={20} />} title={causeWord(cause, code)}>
      <Stack gap={6}>
        {explanation && <Text size="sm" className="foreign"><Ticked text={explanation.sentence} /></Text>}
        {explanation?.hint && <Text size="sm" fw={500} className="foreign"><Ticked text={explanation.hint} /></Text>}
        <Text size="sm">{elsewhere && repairedHere(repair) ? ELSEWHERE[elsewhere] : REPAIRS[repair]}</Text>
      </Stack>
    </Alert>
  );
}

/** Every step of the verification, with what came beside what was expected. */
export function Steps({ explanation }: { explanation: Explanation }) {
  const { timestamp } = explanation;
  return (
    <Stack gap="md">
      {explanation.steps.length === 0 && <Text size="sm" c="dimmed">The steps show parts of the request, which your role does not see.</Text>}
      <ol className="steps-list">
        {explanation.steps.map((step, index) => (
          <li key={`${step.name}-${index}`}>
            {step.ok
              ? <IconCircleCheck size={20} color="var(--mantine-color-green-6)" aria-label="passed" />
              : <IconCircleX size={20} color="var(--mantine-color-red-6)" aria-label="failed" />}
            <Box>
              <Text size="sm" fw={600}>{stepWord(step.name)}</Text>
              <Text size="sm" className="foreign"><Ticked text={step.detail} /></Text>
            </Box>
          </li>
        ))}
      </ol>
      <dl className="facts">
        <Fact name="Provider and scheme" value={explanation.scheme ? `${explanation.provider}, ${explanation.scheme}` : explanation.provider} />
        {explanation.signature_received.map((signature) => <Fact key={signature} name="Signature that came" value={visible(signature)} mono />)}
        {timestamp && <Fact name="Time that came" value={timeOf(timestamp)} />}
        {timestamp && <Fact name="Time that passes" value={allowed(timestamp)} />}
        {explanation.effort.trials > 0 && <Fact name="Tried to find the cause" value={`${count(explanation.effort.trials)} changes, ${bytes(explanation.effort.bytes)} hashed${explanation.effort.cut_short ? "; stopped before the end" : ""}`} />}
      </dl>
      {explanation.signed_text && <Signed text={explanation.signed_text} />}
    </Stack>
  );
}

function Fact({ name, value, mono = false }: { name: string; value: string; mono?: boolean }) {
  return (
    <div>
      <Text component="dt" size="xs" c="dimmed">{name}</Text>
      <Text component="dd" size="sm" m={0} className={mono ? "foreign mono" : "foreign"}>{value}</Text>
    </div>
  );
}

type Timestamp = NonNullable<Explanation["timestamp"]>;

function timeOf({ text, sent_s, age_s }: Timestamp): string {
  if (sent_s === null) return `${visible(text)} (not a time of the expected form)`;
  const age = age_s === null ? "" : age_s < 0 ? `, ${seconds(-age_s)} ahead of the clock` : `, ${seconds(age_s)} before it came`;
  return `${visible(text)}${age}`;
}

function allowed({ max_age_s, max_future_s }: Timestamp): string {
  const age = max_age_s === null ? "however old" : `at most ${seconds(max_age_s)} old`;
  return `${age}, ${max_future_s === null ? "however far ahead" : `at most ${seconds(max_future_s)} ahead`}`;
}

function seconds(value: number): string {
  if (value < 600) return `${value} s`;
  if (value < 7_200) return `${Math.round(value / 60)} min`;
  if (value < 172_800) return `${Math.round(value / 3_600)} h`;
  return `${Math.round(value / 86_400)} days`;
}

function Signed({ text }: { text: NonNullable<Explanation["signed_text"]> }) {
  const [form, setForm] = useState("text");
  return (
    <Stack gap="xs">
      <Group justify="space-between" gap="xs">
        <Text size="sm" fw={600}>
          The text that is signed: <span className="mono foreign">{visible(text.template)}</span>
        </Text>
        <SegmentedControl size="xs" aria-label="How the signed text is shown" value={form} onChange={setForm}
          data={[{ value: "text", label: "Text" }, { value: "hex", label: "Bytes" }]} />
      </Group>
      <CodeBlock text={form === "hex" ? text.hex : visible(text.text)} copyLabel="Copy the signed text" />
      <Text size="xs" c="dimmed">
        {bytes(text.length_bytes)}{text.cut ? ", of which the beginning is shown" : ""}. Compare it with what the provider signed:
        one changed byte makes another signature.
      </Text>
    </Stack>
  );
}
