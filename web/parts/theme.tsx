import { useSignal } from '@preact/signals';

const themes = ['auto', 'light', 'dark'] as const;
type Theme = (typeof themes)[number];
const KEY = 'mcpctl-theme';

const stored = (): Theme => themes.find((theme) => theme === localStorage.getItem(KEY)) ?? 'auto';

function show(theme: Theme): void {
  if (theme === 'auto') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = theme;
}
show(stored());

/** Light, dark, or as the system is: the only thing that this page stores. */
export function Theme() {
  const theme = useSignal(stored());
  return (
    <label class="theme">
      <span class="hidden">Colours</span>
      <select
        value={theme}
        onChange={({ currentTarget }) => {
          theme.value = themes.find((one) => one === currentTarget.value) ?? 'auto';
          localStorage.setItem(KEY, theme.value);
          show(theme.value);
        }}
      >
        <option value="auto">System</option>
        <option value="light">Light</option>
        <option value="dark">Dark</option>
      </select>
    </label>
  );
}
