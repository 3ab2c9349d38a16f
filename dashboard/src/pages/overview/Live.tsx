import { Text } from "@mantine/core";
import type { UseQueryResult } from "@tanstack/react-query";

import { useNow } from "../../parts/Time";
import { ago } from "../../parts/Time";

const STALE_MS = 20_000;

/** Whether what is shown is of this moment. */
export function Live({ activity }: { activity: UseQueryResult<unknown> }) {
  const now = useNow();
  const at = activity.dataUpdatedAt;
  if (at === 0) return null;
  const stale = now - at > STALE_MS;
  return (
    <Text size="xs" c="dimmed" className="live" data-stale={stale || undefined}>
      <i aria-hidden />{stale ? `As of ${ago(at, now)}` : "Live"}
    </Text>
  );
}
