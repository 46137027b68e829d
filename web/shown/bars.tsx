export interface Bar {
  /** What it is of, as it is read out. */
  name: string;
  value: number;
}

const HEIGHT = 100;
const STEP = 10;

/** Values beside each other, the largest as high as there is room; the table below it has them as numbers. */
export function Bars({ of, what }: { of: readonly Bar[]; what: string }) {
  const most = Math.max(0, ...of.map(({ value }) => value));
  const [first] = of;
  const last = of.at(-1);
  if (!first || !last) return null;
  return (
    <figure class="bars">
      <svg
        role="img"
        aria-label={`${what}: ${String(of.length)} values, at most ${most.toLocaleString('en')}`}
        viewBox={`0 0 ${String(of.length * STEP)} ${String(HEIGHT)}`}
        preserveAspectRatio="none"
      >
        {of.map(({ name, value }, i) => {
          const height = value === 0 ? 0 : Math.max(1, (value / most) * HEIGHT);
          return (
            <rect key={name} x={i * STEP + 1} y={HEIGHT - height} width={STEP - 2} height={height}>
              <title>{`${name}: ${value.toLocaleString('en')}`}</title>
            </rect>
          );
        })}
      </svg>
      <figcaption class="quiet">
        <span>{first.name}</span>
        <span>
          {what}, at most {most.toLocaleString('en')}
        </span>
        <span>{last.name}</span>
      </figcaption>
    </figure>
  );
}
