import { Text } from "@mantine/core";

import { useBrand } from "./context";

/** The operator's logo with its name; the name alone without one. */
export function Logo() {
  const { name, logo } = useBrand();
  return (
    <span className="logo">
      {logo && <img src={logo} alt="" height={24} />}
      <Text span fw={600} size="md" className="foreign">{name}</Text>
    </span>
  );
}
