// Making and changing an application.
import { Button, Group, Modal, NumberInput, Stack, Switch, Text, Textarea, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";

import { ApiProblem } from "../../api/client";
import { type Application, createApplication, patchApplication } from "../../api/queries/applications";
import { metadataText, readMetadata } from "../../parts/EndpointForm";
import { notify } from "../../parts/notify";
import { Trouble } from "../../parts/Trouble";
import { useReturnFocus } from "../../parts/useReturnFocus";

interface Draft {
  name: string;
  uid: string;
  throttleRate: number | "";
  validatePayloads: boolean;
  metadata: string;
}

const FIELDS = ["name", "uid", "throttleRate", "validatePayloads", "metadata"];

/** Without an application, one is made. */
export function ApplicationDialog({ application, close }: { application?: Application; close: () => void }) {
  useReturnFocus();
  const queries = useQueryClient();
  const navigate = useNavigate();
  const [error, setError] = useState<Error | null>(null);
  const [busy, setBusy] = useState(false);
  const form = useForm<Draft>({
    mode: "controlled",
    initialValues: {
      name: application?.name ?? "", uid: application?.uid ?? "", throttleRate: application?.throttleRate ?? "",
      validatePayloads: application?.validatePayloads ?? false,
      metadata: metadataText((application?.metadata as Record<string, string> | undefined) ?? {}),
    },
    validate: {
      name: (name) => (name.trim() === "" ? "Give it a name, such as the customer's." : null),
      uid: (uid) => (/^[a-zA-Z0-9\-_.]*$/.test(uid.trim()) ? null : "Only letters, digits, dot, dash and underscore."),
      metadata: (text) => {
        const read = readMetadata(text);
        return typeof read === "string" ? read : null;
      },
    },
  });
  const save = form.onSubmit(async (draft) => {
    setBusy(true);
    setError(null);
    const read = readMetadata(draft.metadata);
    const body = {
      name: draft.name.trim(), uid: draft.uid.trim() === "" ? null : draft.uid.trim(),
      throttleRate: draft.throttleRate === "" ? null : draft.throttleRate,
      validatePayloads: draft.validatePayloads, metadata: typeof read === "string" ? {} : read,
    };
    try {
      const saved = application ? await patchApplication(application.id, body) : await createApplication(body);
      await queries.invalidateQueries({ queryKey: ["applications"] });
      notify.done(application ? "Saved." : "The application is made. Give it an endpoint.");
      close();
      if (!application) await navigate({ to: "/applications/$applicationId", params: { applicationId: saved.id } });
    } catch (problem) {
      const flaws = problem instanceof ApiProblem ? problem.flaws.filter((flaw) => FIELDS.includes(flaw.place.split(".")[0] ?? "")) : [];
      for (const flaw of flaws) form.setFieldError(flaw.place.split(".")[0] ?? "", `It ${flaw.text}.`);
      if (problem instanceof ApiProblem && problem.code === "conflict") form.setFieldError("uid", "Another application has this uid.");
      else if (flaws.length === 0) setError(problem as Error);
    } finally {
      setBusy(false);
    }
  });
  return (
    <Modal opened onClose={close} title={<Text fw={600} size="md" span>{application ? "Edit the application" : "New application"}</Text>}>
      <form onSubmit={save} noValidate>
        <Stack>
          <TextInput label="Name" withAsterisk required data-autofocus placeholder="Acme" {...form.getInputProps("name")} />
          <TextInput label="Uid" placeholder="customer-42" spellCheck={false} autoComplete="off"
            description="Your own id of this customer. The API takes it wherever it takes the application's id." {...form.getInputProps("uid")} />
          <NumberInput label="Rate limit" suffix=" per second" placeholder="No limit" min={1} max={65_535} allowDecimal={false}
            description="The most attempts per second for all of its endpoints together. What is too much waits." {...form.getInputProps("throttleRate")} />
          <Switch label="Check payloads" {...form.getInputProps("validatePayloads", { type: "checkbox" })}
            description="An event whose payload breaks the schema of its event type is refused and not stored." />
          <Textarea label="Metadata" classNames={{ input: "mono" }} autosize minRows={2} placeholder="plan = enterprise"
            description="Notes for your own programs, one name = value on each line." {...form.getInputProps("metadata")} />
          {error && <Trouble error={error} />}
          <Group justify="flex-end" gap="xs">
            <Button variant="default" onClick={close}>Cancel</Button>
            <Button type="submit" loading={busy}>{application ? "Save" : "Make the application"}</Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
