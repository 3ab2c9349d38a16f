import { Button, Group, Stack, Text } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";

import { type LetOut, type ProviderDetails, retryOne, setCredentials } from "../../api/queries/sources";
import { Trouble } from "../../parts/Trouble";
import { CredentialFields, type Typed, credentialsOf } from "./CredentialFields";

interface Props {
  sourceId: string;
  provider: ProviderDetails;
  /** The refused request to verify again after the secret is set. */
  number?: number | undefined;
  onDone: (letOut: LetOut | null) => void;
}

/** Sets the credentials of a source and verifies a refused request with them. */
export function RepairForm({ sourceId, provider, number, onDone }: Props) {
  const queries = useQueryClient();
  const [typed, setTyped] = useState<Typed>({});
  const repair = useMutation({
    mutationFn: async () => {
      await setCredentials(sourceId, credentialsOf(provider, typed), 0);
      return number === undefined ? null : retryOne(number);
    },
    onSuccess: (letOut) => {
      setTyped({});
      void queries.invalidateQueries({ queryKey: ["sources"] });
      void queries.invalidateQueries({ queryKey: ["quarantine"] });
      void queries.invalidateQueries({ queryKey: ["events"] });
      onDone(letOut);
    },
  });
  const what = Object.keys(provider.parameters).length > 0 ? "this" : "the secret";
  const stays = repair.data?.outcome === "stays";
  const empty = Object.values(typed).every((value) => value === "");
  function submit(event: FormEvent) {
    event.preventDefault();
    if (!repair.isPending && !empty) repair.mutate();
  }
  return (
    <form onSubmit={submit}>
      <Stack gap="sm">
        <CredentialFields provider={provider} typed={typed} onTyped={setTyped} withParameters />
        {repair.error && <Trouble error={repair.error} />}
        {stays && <Text size="sm" role="alert">It is saved, and the request still does not pass: see above what was found with it.</Text>}
        <Group>
          <Button type="submit" loading={repair.isPending} disabled={empty}>
            {number === undefined ? `Save ${what}` : `Save ${what} and verify again`}
          </Button>
          <Text size="xs" c="dimmed">A secret replaces the one before and is not shown again.</Text>
        </Group>
      </Stack>
    </form>
  );
}
