import { Text } from "@mantine/core";

import { State } from "../parts/State";
import { Time, useNow } from "../parts/Time";
import { statusWord } from "./words";

/** Where a delivery stands or how an attempt ended, in the portal's words. */
export function Status({ status }: { status: string }) {
  const { word, tone } = statusWord(status);
  return <State state={word} tone={tone} />;
}

/** When it is tried again; what is due waits only for its turn. */
export function Due({ at }: { at: string }) {
  const now = useNow(1_000);
  return (
    <Text size="xs" c="dimmed" component="div">
      {Date.parse(at) <= now + 1_000 ? "next attempt any moment" : <>next attempt <Time at={at} show="ago" quiet /></>}
    </Text>
  );
}
