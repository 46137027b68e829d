import { McpctlError } from '../../core/errors.ts';

/** What a machine is told to keep running, in the words of its own keeper of services. No secret is in any of them. */
export interface Unit {
  /** What is run, by whole paths: Node and the program, or the single file that is both. */
  program: readonly string[];
  home: string;
  /** Of the network: where certificates and proxies are, without any password. */
  environment: Readonly<Record<string, string>>;
  /** As whom it runs, where the whole machine keeps it; null: the person who installs it keeps it themselves. */
  user: string | null;
}

/** Told from files that somebody else wrote, which are left alone. */
export const MARK = 'Written by mcplocal service install';
export const LABEL = 'mcpctl.mcplocal';

/** A line break in a path would be a line of the file. @throws McpctlError `setup_failed` */
function needOneLine(texts: readonly string[]): void {
  const odd = texts.find((text) => /[\u0000-\u001f\u007f]/.test(text));
  if (odd !== undefined)
    throw new McpctlError('setup_failed', 'A path with control characters in it can be kept as no service.');
}

const variablesOf = ({ home, environment }: Unit): [string, string][] =>
  Object.entries({ MCPCTL_HOME: home, ...environment });

/** Of systemd: `%` begins a specifier; in what is executed `$` a variable. */
const quoted = (text: string): string =>
  `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('%', '%%')}"`;
const executed = (text: string): string => quoted(text).replaceAll('$', '$$$$');

/** What systemd is told of it, whoever has written the unit: mcplocal, or a package of an operating system. */
export const SYSTEMD = {
  description: 'mcplocal: publishes the LLMs of this machine',
  keeping: `Restart=always
RestartSec=5
# It has left because its owner said so (mcplocal drain, mcplocal leave).
RestartPreventExitStatus=0
# What runs is finished first.
TimeoutStopSec=5min
KillMode=mixed
LimitCORE=0
NoNewPrivileges=yes`,
};

/** A unit of the user's own systemd, or with `user` of the machine's. */
export function systemdUnit(unit: Unit): string {
  const { program, user } = unit;
  const variables = variablesOf(unit);
  needOneLine([...program, ...variables.flat()]);
  const ofMachine = user !== null;
  return `# ${MARK}; "mcplocal service uninstall" takes it away.
[Unit]
Description=${SYSTEMD.description}
${ofMachine ? 'After=network-online.target\nWants=network-online.target\n' : ''}
[Service]
Type=exec
ExecStart=${program.map(executed).join(' ')} run
${variables.map(([name, value]) => `Environment=${quoted(`${name}=${value}`)}`).join('\n')}
${ofMachine ? `User=${user}\n` : ''}${SYSTEMD.keeping}

[Install]
WantedBy=${ofMachine ? 'multi-user.target' : 'default.target'}
`;
}

const xml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
const strings = (texts: readonly string[], indent: string): string =>
  texts.map((text) => `${indent}<string>${xml(text)}</string>`).join('\n');

/** A property list for launchd. @param log what it prints goes there. */
export function launchdPlist(unit: Unit, log: string): string {
  const { program, user } = unit;
  const variables = variablesOf(unit);
  needOneLine([...program, log, ...variables.flat()]);
  const pairs = variables.map(([name, value]) => `    <key>${xml(name)}</key>\n${strings([value], '    ')}`);
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<!-- ${MARK} -->
<plist version="1.0">
<dict>
  <key>Label</key>
  <string>${LABEL}</string>
  <key>ProgramArguments</key>
  <array>
${strings([...program, 'run'], '    ')}
  </array>
  <key>EnvironmentVariables</key>
  <dict>
${pairs.join('\n')}
  </dict>
${user === null ? '' : `  <key>UserName</key>\n  <string>${xml(user)}</string>\n`}  <key>RunAtLoad</key>
  <true/>
  <key>KeepAlive</key>
  <dict>
    <key>SuccessfulExit</key>
    <false/>
  </dict>
  <key>ProcessType</key>
  <string>Background</string>
  <key>StandardOutPath</key>
  <string>${xml(log)}</string>
  <key>StandardErrorPath</key>
  <string>${xml(log)}</string>
</dict>
</plist>
`;
}

/** A task of Windows that begins as its user logs on. A task has no environment of its own, so a shell sets it. */
export function windowsTask(unit: Unit): string {
  const { program } = unit;
  const variables = variablesOf(unit);
  needOneLine([...program, ...variables.flat()]);
  const set = variables.map(([name, value]) => `set "${name}=${value}"`).join(' && ');
  const command = `/d /s /c "${set} && ${program.map((path) => `"${path}"`).join(' ')} run"`;
  return `<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Description>mcplocal: publishes the LLMs of this machine. ${MARK}</Description>
  </RegistrationInfo>
  <Triggers>
    <LogonTrigger>
      <Enabled>true</Enabled>
    </LogonTrigger>
  </Triggers>
  <Principals>
    <Principal id="Author">
      <LogonType>InteractiveToken</LogonType>
      <RunLevel>LeastPrivilege</RunLevel>
    </Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <RestartOnFailure>
      <Interval>PT1M</Interval>
      <Count>999</Count>
    </RestartOnFailure>
  </Settings>
  <Actions Context="Author">
    <Exec>
      <Command>cmd.exe</Command>
      <Arguments>${xml(command)}</Arguments>
    </Exec>
  </Actions>
</Task>
`;
}
