import { useNavigate, useSearch } from "@tanstack/react-router";

/** What the page takes from its URL, and a way to change it; each page brings its own reader. */
export function useView<T extends object>(read: (given: Record<string, unknown>) => T) {
  const view = read(useSearch({ strict: false }) as Record<string, unknown>);
  const navigate = useNavigate();
  const change = (to: Partial<T>, how: { replace?: boolean } = {}) =>
    void navigate({ to: ".", search: ((before: object) => ({ ...before, ...to })) as never, replace: how.replace ?? false });
  return [view, change] as const;
}
