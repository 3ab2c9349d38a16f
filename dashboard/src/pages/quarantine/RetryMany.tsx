import { Button, Group, Modal, Progress, Stack, Text } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { useRef, useState } from "react";

import { type RetryStep, type Source, retryStep } from "../../api/queries/sources";
import { Trouble } from "../../parts/Trouble";
import { reasonWord } from "../../parts/VerdictWords";
import { fullCount } from "../../parts/format";
import { nameOf } from "../sources/names";

const STEP = 50;

interface Props { source: Source; code: string | undefined; since: string | undefined; until: string | undefined }
interface Sums { accepted: number; repeats: number; stay: number; why: Map<string, number> }

const NOTHING: Sums = { accepted: 0, repeats: 0, stay: 0, why: new Map() };

/** Verifies all that fit the filter again, oldest first, in steps; can be stopped between them. */
export function RetryMany({ source, code, since, until }: Props) {
  const queries = useQueryClient();
  const [opened, setOpened] = useState(false);
  const [state, setState] = useState<"asked" | "running" | "stopped" | "done">("asked");
  const [sums, setSums] = useState<Sums>(NOTHING);
  const [error, setError] = useState<Error | null>(null);
  const stop = useRef(false);

  async function run() {
    stop.current = false;
    setSums(NOTHING);
    setError(null);
    setState("running");
    let iterator: string | null | undefined;
    let fence = until;
    try {
      for (;;) {
        const step: RetryStep = await retryStep({
          source: source.uid, limit: STEP, ...(code && { codes: [code] }), ...(since && { since }),
          ...(fence && { until: fence }), ...(iterator && { iterator }),
        });
        setSums((before) => added(before, step));
        if (step.done || stop.current) { setState(step.done ? "done" : "stopped"); break; }
        iterator = step.iterator;
        fence = step.until;
      }
    } catch (problem) {
      setError(problem as Error);
      setState("stopped");
    }
    for (const key of ["quarantine", "events", "sources"]) void queries.invalidateQueries({ queryKey: [key] });
  }
  const seen = sums.accepted + sums.repeats + sums.stay;
  const running = state === "running";
  function close() {
    if (running) return;
    setOpened(false);
    setState("asked");
  }
  return (
    <>
      <Button onClick={() => setOpened(true)}>Verify all of them again</Button>
      <Modal opened={opened} onClose={close} title={`Verify again: ${nameOf(source)}`} closeOnEscape={!running} closeOnClickOutside={!running} withCloseButton={!running}>
        <Stack>
          {state === "asked" && (
            <Text>
              Every refused request of this source{code ? ` with the reason “${reasonWord(code).toLowerCase()}”` : ""}{since ? " in the chosen time" : ""} is
              verified with the secrets of now, oldest first, judged by the clock of its receipt. What passes becomes an event and is delivered. What does not pass stays.
            </Text>
          )}
          {state !== "asked" && (
            <>
              {running && <Progress value={100} animated striped aria-label="Verifying" />}
              <Text role="status" fw={500}>
                {running ? `${fullCount(seen)} verified again...` : state === "done" ? `Done: ${fullCount(seen)} verified again.` : `Stopped after ${fullCount(seen)}.`}
              </Text>
              <Text>{fullCount(sums.accepted)} became events, {fullCount(sums.repeats)} were repeats, {fullCount(sums.stay)} stay.</Text>
              {[...sums.why].map(([reason, number]) => <Text key={reason} size="xs" c="dimmed">{fullCount(number)} stay: {reasonWord(reason).toLowerCase()}</Text>)}
            </>
          )}
          {error && <Trouble error={error} />}
          <Group justify="flex-end">
            {state === "asked" && <Button variant="default" onClick={close}>Cancel</Button>}
            {state === "asked" && <Button onClick={() => void run()}>Verify them again</Button>}
            {running && <Button variant="default" onClick={() => { stop.current = true; }}>Stop</Button>}
            {(state === "done" || state === "stopped") && <Button onClick={close}>Done</Button>}
          </Group>
        </Stack>
      </Modal>
    </>
  );
}

function added(before: Sums, step: RetryStep): Sums {
  const why = new Map(before.why);
  for (const one of step.results) if (one.outcome === "stays" && one.code) why.set(one.code, (why.get(one.code) ?? 0) + 1);
  return {
    ...before, why,
    accepted: before.accepted + step.accepted,
    repeats: before.repeats + step.repeats,
    stay: before.stay + step.stay,
  };
}
