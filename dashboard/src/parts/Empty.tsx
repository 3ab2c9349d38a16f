import { Stack, Text, Title } from "@mantine/core";
import type { ReactNode } from "react";

export interface EmptyProps {
  title: string;
  /** A button or a link that makes the first one. */
  action?: ReactNode;
  children?: ReactNode;
}

/** A list with nothing in it: says what would be here and how the first one is made. */
export function Empty({ title, action, children }: EmptyProps) {
  return (
    <Stack className="empty" align="center" gap="xs" py={48} px="md">
      <Title order={2} size="h3" ta="center">{title}</Title>
      {typeof children === "string" ? <Text c="dimmed" ta="center" maw={520}>{children}</Text>
        : children && <Stack gap="xs" maw={560} w="100%" c="dimmed" fz="sm">{children}</Stack>}
      {action && <div>{action}</div>}
    </Stack>
  );
}
