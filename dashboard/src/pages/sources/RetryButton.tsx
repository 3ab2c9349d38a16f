import { Button, Text } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";

import { type LetOut, retryOne } from "../../api/queries/sources";
import { notify } from "../../parts/notify";
import { reasonWord } from "../../parts/VerdictWords";

interface Props { number: number; onDone?: (letOut: LetOut) => void }

/** Verifies a refused request with the secrets of now, and lets it out if it passes. */
export function RetryButton({ number, onDone }: Props) {
  const queries = useQueryClient();
  const retry = useMutation({
    mutationFn: () => retryOne(number),
    onSuccess: (letOut) => {
      void queries.invalidateQueries({ queryKey: ["quarantine"] });
      void queries.invalidateQueries({ queryKey: ["events"] });
      onDone?.(letOut);
    },
    onError: (error) => notify.failed(error),
  });
  const stays = retry.data?.outcome === "stays" ? retry.data : null;
  return (
    <>
      <Button loading={retry.isPending} onClick={() => retry.mutate()}>Verify again</Button>
      {stays && <Text size="sm" role="alert">It still does not pass: {reasonWord(stays.code ?? "").toLowerCase()}.</Text>}
    </>
  );
}
