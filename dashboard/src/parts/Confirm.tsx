import { Button, Group, Modal, Stack, Text } from "@mantine/core";
import { type ReactNode, useSyncExternalStore } from "react";

import { useReturnFocus } from "./useReturnFocus";

export interface Question {
  title: string;
  message: ReactNode;
  /** What is going to be done, as a verb: `Delete the endpoint`. */
  confirmLabel: string;
  danger?: boolean;
}

interface Asked extends Question {
  decide: (yes: boolean) => void;
}

let asked: Asked | null = null;
const listeners = new Set<() => void>();

function put(next: Asked | null) {
  asked = next;
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Asks before something that cannot be taken back; answers whether to go on. */
export function confirm(question: Question): Promise<boolean> {
  asked?.decide(false);
  return new Promise((resolve) => {
    put({ ...question, decide: (yes) => { put(null); resolve(yes); } });
  });
}

/** Shows the question of `confirm`; there is one around all pages. */
export function ConfirmHost() {
  const question = useSyncExternalStore(subscribe, () => asked);
  return question && <Dialog question={question} />;
}

function Dialog({ question }: { question: Asked }) {
  useReturnFocus();
  return (
    <Modal opened onClose={() => question.decide(false)} title={<Text fw={600} size="md" span>{question.title}</Text>} size="md">
      <Stack>
        {typeof question.message === "string" ? <Text className="foreign">{question.message}</Text> : question.message}
        <Group justify="flex-end" gap="xs">
          <Button variant="default" data-autofocus onClick={() => question.decide(false)}>Cancel</Button>
          <Button color={question.danger ? "red" : "ink"} onClick={() => question.decide(true)}>{question.confirmLabel}</Button>
        </Group>
      </Stack>
    </Modal>
  );
}
