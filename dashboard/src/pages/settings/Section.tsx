import { Card, Group, Text, Title } from "@mantine/core";
import { type ReactNode, useId } from "react";

export interface SectionProps {
  title: string;
  lead: ReactNode;
  action?: ReactNode;
  children: ReactNode;
}

/** A part of the settings. */
export function Section({ title, lead, action, children }: SectionProps) {
  const id = useId();
  return (
    <Card component="section" aria-labelledby={id}>
      <Group justify="space-between" align="flex-start" gap="xs" mb="sm">
        <div>
          <Title order={2} size="h3" id={id}>{title}</Title>
          <Text c="dimmed" component="div" maw={700}>{lead}</Text>
        </div>
        {action}
      </Group>
      {children}
    </Card>
  );
}
