/** The gateway's mark. */
export function Mark() {
  return (
    <svg viewBox="0 0 32 32" width={22} height={22} aria-hidden focusable="false">
      <rect width="32" height="32" rx="7" fill="var(--mantine-color-ink-7)" />
      <path d="M10 7v12a6 6 0 0 0 12 0v-2m0 0-3.5 3.5M22 17l3.5 3.5M10 7h6a4 4 0 0 1 0 8h-6" fill="none" stroke="#fff" strokeWidth="2.6" strokeLinecap="round" strokeLinejoin="round" />
    </svg>
  );
}
