// Making an event type.
import { Button, Group, Modal, SimpleGrid, Stack, Text } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";

import { ApiProblem } from "../../api/client";
import { createEventType } from "../../api/queries/event-types";
import { notify } from "../../parts/notify";
import { SchemaEditor, type SchemaFinding } from "../../parts/SchemaEditor";
import { Trouble } from "../../parts/Trouble";
import { useReturnFocus } from "../../parts/useReturnFocus";
import { checkSchema, refusedOf, together } from "./schemas";
import { retryOf, type TypeDraft, TypeFields, typeRules } from "./TypeFields";

const FIRST = "1";

export function NewDialog({ close }: { close: () => void }) {
  useReturnFocus();
  const queries = useQueryClient();
  const navigate = useNavigate();
  const [texts, setTexts] = useState({ schema: "", example: "" });
  const [refused, setRefused] = useState<SchemaFinding[]>([]);
  const [error, setError] = useState<Error | null>(null);
  const [busy, setBusy] = useState(false);
  const form = useForm<TypeDraft>({
    mode: "controlled",
    initialValues: { name: "", description: "", groupName: "", featureFlags: [], deprecated: false, validatePayloads: false, retry: "", delays: [] },
    validate: typeRules,
  });
  const change = (part: Partial<typeof texts>) => {
    setTexts((before) => ({ ...before, ...part }));
    setRefused([]);
    setError(null);
  };
  const save = form.onSubmit(async (draft) => {
    const both = together(texts);
    if ("wrong" in both) return setError(new Error(both.wrong));
    setBusy(true);
    setError(null);
    const retry = retryOf(draft);
    const body = {
      name: draft.name.trim(), description: draft.description.trim(), deprecated: draft.deprecated, validatePayloads: draft.validatePayloads,
      ...(draft.groupName.trim() !== "" && { groupName: draft.groupName.trim() }),
      ...(draft.featureFlags.length > 0 && { featureFlags: draft.featureFlags }),
      ...(both.schema !== null && { schemas: { [FIRST]: both.schema } }),
      ...(retry !== null && { retry }),
    };
    try {
      await createEventType(body);
      await queries.invalidateQueries({ queryKey: ["event-types"] });
      notify.done("The event type is made.");
      close();
      await navigate({ to: "/event-types/$name", params: { name: body.name } });
    } catch (problem) {
      const found = refusedOf(problem, FIRST);
      setRefused(found);
      if (problem instanceof ApiProblem && problem.code === "conflict") form.setFieldError("name", "There is an event type of this name already.");
      else if (found.length === 0) setError(problem as Error);
    } finally {
      setBusy(false);
    }
  });
  return (
    <Modal opened onClose={close} size="80rem" title={<Text fw={600} size="md" span>New event type</Text>}>
      <form onSubmit={save} noValidate>
        <Stack>
          <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="md"><TypeFields form={form} named={false} /></SimpleGrid>
          <SchemaEditor value={texts.schema} example={texts.example} check={checkSchema} refused={refused}
            onChange={(schema) => change({ schema })} onExample={(example) => change({ example })} />
          {error && <Trouble error={error} />}
          <Group justify="flex-end" gap="xs">
            <Button variant="default" onClick={close}>Cancel</Button>
            <Button type="submit" loading={busy}>Make the event type</Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
