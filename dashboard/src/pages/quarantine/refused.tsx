// One refused request: what is wrong with it, what was checked, what came, and the ways out.
import { Alert, Button, Card, Group, Modal, SimpleGrid, Stack, Table, Text, Textarea, Title } from "@mantine/core";
import { IconCircleCheck } from "@tabler/icons-react";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useParams } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";

import { type LetOut, type Refused, providerQuery, refusedQuery, releaseOne, sourceListQuery } from "../../api/queries/sources";
import { useSelf } from "../../api/queries/common";
import { CodeBlock } from "../../parts/CodeBlock";
import { Page, PageSkeleton } from "../../parts/Page";
import { State } from "../../parts/State";
import { Time } from "../../parts/Time";
import { Trouble } from "../../parts/Trouble";
import { Diagnosis, Steps, passesNow } from "../../parts/Verdict";
import { brokeRule, reasonWord, repairOf, repairedHere } from "../../parts/VerdictWords";
import { visible } from "../../parts/foreign";
import { bytes } from "../../parts/format";
import { LinkButton } from "../sources/LinkButton";
import { RepairForm } from "../sources/RepairForm";
import { RetryButton } from "../sources/RetryButton";
import { nameOf } from "../sources/names";
import "../sources/sources.css";

const CRUMBS = [{ label: "Quarantine", to: "/quarantine" }];

export function RefusedPage() {
  const { number } = useParams({ from: "/quarantine/$number" });
  const refused = useQuery(refusedQuery(Number(number)));
  const [letOut, setLetOut] = useState<LetOut | null>(null);
  const title = `Refused request ${number}`;
  if (letOut && letOut.outcome !== "stays") return <Page title={title} crumbs={CRUMBS}><Out letOut={letOut} /></Page>;
  if (refused.error && !refused.data) return <Page title={title} crumbs={CRUMBS}><Trouble error={refused.error} retry={() => void refused.refetch()} /></Page>;
  if (!refused.data) return <PageSkeleton rows={8} />;
  return <Shown title={title} refused={refused.data} onLetOut={(told) => { setLetOut(told); if (told.outcome === "stays") void refused.refetch(); }} />;
}

function Out({ letOut }: { letOut: LetOut }) {
  const says = {
    accepted: "It is an event now, and goes to the endpoints of its source.",
    repeat: "The sender had sent it again meanwhile, and that was accepted: it counts as a repeat.",
    absent: "Somebody else has let it out already.",
    stays: "",
  }[letOut.outcome];
  return (
    <Alert color="green" variant="light" icon={<IconCircleCheck size={20} />} title="It has left the quarantine" role="status">
      <Stack align="flex-start" gap="sm">
        <Text>{says}</Text>
        <Group>
          {letOut.eventId && <LinkButton to="/events/$eventId" params={{ eventId: letOut.eventId }}>See the event</LinkButton>}
          <LinkButton to="/quarantine" variant="default">Back to the quarantine</LinkButton>
        </Group>
      </Stack>
    </Alert>
  );
}

interface ShownProps { title: string; refused: Refused; onLetOut: (letOut: LetOut) => void }

function Shown({ title, refused, onLetOut }: ShownProps) {
  const me = useSelf();
  const sources = useQuery(sourceListQuery);
  const source = sources.data?.find((one) => one.id === refused.sourceId);
  const provider = useQuery({ ...providerQuery(source?.provider ?? ""), enabled: source !== undefined });
  const explanation = refused.verdict?.explanation ?? null;
  const passes = passesNow(explanation);
  const repair = repairOf(explanation?.likely_cause ?? null, refused.code, source?.provider);
  const cut = refused.code === "too_large";
  const repairable = repairedHere(repair) && !passes && me.changes && source?.origin === "api" && !source.removed;
  return (
    <Page title={title} crumbs={CRUMBS} aside={<State state={brokeRule(refused.code) ? reasonWord(refused.code) : "refused"} tone="bad" />}
      lead={<>
        {source && <><Link className="link" to="/sources/$sourceId" params={{ sourceId: source.id }}><span className="foreign">{nameOf(source)}</span></Link>, </>}
        <Time at={refused.receivedAt} />, answered {refused.status}. {reasonWord(refused.code)}.
      </>}
      actions={me.changes && !cut && (
        <>
          <RetryButton number={refused.number} onDone={onLetOut} />
          <Release refused={refused} operator={me.operator} onDone={onLetOut} />
        </>
      )}>
      {brokeRule(refused.code) ? <BrokenRule refused={refused} /> : <Diagnosis code={refused.code} explanation={explanation} elsewhere={repairable || !source ? undefined : source?.origin === "file" ? "file" : "others"} />}
      {repairable && provider.data && source && (
        <Card component="section" aria-label="Repair the secret">
          <Title order={2} size="h3" mb="sm">Repair the secret of {nameOf(source)}</Title>
          <RepairForm sourceId={source.id} provider={provider.data} number={refused.number} onDone={(told) => { if (told) onLetOut(told); }} />
        </Card>
      )}
      <SimpleGrid cols={{ base: 1, md: 2 }}>
        {explanation && !brokeRule(refused.code) && (
          <Card component="section" aria-label="What was checked">
            <Title order={2} size="h3" mb="sm">What was checked</Title>
            <Steps explanation={explanation} />
          </Card>
        )}
        <Request refused={refused} payloads={me.payloads} />
      </SimpleGrid>
    </Page>
  );
}

function BrokenRule({ refused }: { refused: Refused }) {
  return (
    <Alert color="red" variant="light" title={reasonWord(refused.code)}>
      <Text className="foreign">{visible(refused.reason)}</Text>
      <Text>
        {refused.code === "too_large"
          ? "Only its beginning was kept, so it can be looked at, not let out. Allow larger bodies under Rules of the source."
          : "The request is genuine. Change the rule under Rules of the source and verify again, or have the sender send what the rule wants."}
      </Text>
    </Alert>
  );
}

function Request({ refused, payloads }: { refused: Refused; payloads: boolean }) {
  const { request } = refused;
  if (!request) return null;
  const body = request.body as { sizeBytes: number; text?: string; base64?: string; cut: boolean } | null;
  const text = body?.text ?? body?.base64;
  return (
    <Card component="section" aria-label="The request as it came">
      <Title order={2} size="h3" mb="sm">The request as it came</Title>
      <Stack gap="sm">
        <Text className="mono foreign">{visible(`${request.method ?? ""} ${request.url ?? request.path ?? ""}`, true)}</Text>
        <Text size="xs" c="dimmed">from {request.remoteAddress ?? "an unknown address"}</Text>
        {(request.headers ?? []).length > 0 && (
          <Table className="headers-table" aria-label="Headers" layout="fixed">
            <Table.Tbody>
              {request.headers.map(([name, value], index) => (
                <Table.Tr key={`${name}-${index}`}>
                  <Table.Td className="mono foreign">{visible(name ?? "", true)}</Table.Td>
                  <Table.Td className="mono foreign">{visible(value ?? "", true)}</Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
        )}
        {!payloads && <Text c="dimmed">Your role does not see header values and bodies.</Text>}
        {body && text !== undefined && (
          <>
            <Text size="sm" fw={600}>Body, {bytes(body.sizeBytes)}{body.base64 !== undefined && body.text === undefined ? ", in base64" : ""}{body.cut ? ", its beginning" : ""}</Text>
            <CodeBlock text={visible(text)} wrap copyLabel="Copy the body" />
          </>
        )}
      </Stack>
    </Card>
  );
}

interface ReleaseProps { refused: Refused; operator: boolean; onDone: (letOut: LetOut) => void }

/** Lets it out although nothing proves it; for the operator, who says why. */
function Release({ refused, operator, onDone }: ReleaseProps) {
  const queries = useQueryClient();
  const [opened, setOpened] = useState(false);
  const [reason, setReason] = useState("");
  const release = useMutation({
    mutationFn: () => releaseOne(refused.number, reason.trim()),
    onSuccess: (letOut) => {
      for (const key of ["quarantine", "events"]) void queries.invalidateQueries({ queryKey: [key] });
      onDone(letOut);
    },
  });
  function submit(event: FormEvent) {
    event.preventDefault();
    if (!release.isPending && reason.trim() !== "") release.mutate();
  }
  return (
    <>
      <Button variant="default" onClick={() => setOpened(true)}>Release without proof</Button>
      <Modal opened={opened} onClose={() => setOpened(false)} title="Accept a request that nothing proves?">
        {operator ? (
          <form onSubmit={submit}>
            <Stack>
              <Text>It becomes an event and is delivered, marked as unverified for good, with your name and reason. Do it only when you know from elsewhere that it is true.</Text>
              <Textarea label="Reason" description="Stays with the event and in the audit log." required maxLength={1024} autosize minRows={2} data-autofocus
                value={reason} onChange={(change) => setReason(change.currentTarget.value)} />
              {release.error && <Trouble error={release.error} />}
              <Group justify="flex-end">
                <Button variant="default" onClick={() => setOpened(false)}>Cancel</Button>
                <Button type="submit" color="red" disabled={reason.trim() === ""} loading={release.isPending}>Release it</Button>
              </Group>
            </Stack>
          </form>
        ) : (
          <Text>Only the operator's own token may release what nothing proves. Verify it again after the cause is repaired, or ask the operator.</Text>
        )}
      </Modal>
    </>
  );
}
