const MOST = 12;

/** Slots as cells, the running ones full. */
export function Slots({ running, slots }: { running: number; slots: number }) {
  const shown = Math.min(slots, MOST);
  const full = Math.min(running, shown);
  return (
    <span class="slots" role="img" aria-label={`${String(running)} of ${String(slots)} slots busy`}>
      <span aria-hidden="true">
        {'▮'.repeat(full)}
        {'▯'.repeat(shown - full)} {running}/{slots}
      </span>
    </span>
  );
}
