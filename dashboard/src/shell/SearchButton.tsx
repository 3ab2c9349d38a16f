import { IconSearch } from "@tabler/icons-react";

/** Looks like a field and opens the finder, which has room for what it finds. */
export function SearchButton({ onClick }: { onClick: () => void }) {
  return (
    <button type="button" className="search-button focus-ring" onClick={onClick} aria-label="Search or paste an id" aria-keyshortcuts="/" aria-haspopup="dialog">
      <IconSearch size={15} aria-hidden /><span>Search or paste an id</span><kbd aria-hidden>/</kbd>
    </button>
  );
}
