"""The sentences of an explanation, in both languages. A form with `{}` takes the figures that it speaks of."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from balancebot.domain.notification import Channel
from balancebot.domain.prospect import ProspectKind
from balancebot.settings import Language


class Topic(StrEnum):
    """What a line of an explanation is about, in the order of the chain."""

    READING = "reading"
    USE = "use"
    LIMITS = "limits"
    VERDICT = "verdict"
    ALERT = "alert"
    TOLD = "told"
    OUTLOOK = "outlook"


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrases:
    """One language's sentences."""

    topics: Mapping[Topic, str]
    channels: Mapping[Channel, str]
    heading: str
    # reading
    left_configuration: str
    never_read: str
    read: str
    only_read: str
    stale: str
    suspect: str
    failed: str
    next_in: str
    due: str
    unallocated: str
    # use
    use: str
    use_certain: str
    use_unknown: str
    runway_unknown: str
    # limits
    count_limit: str
    days_limit: str
    off: str
    built_in: str
    set_for: str
    crossed: str
    met: str
    unjudged: str
    no_limits: str
    note: str
    # verdict
    verdict: str
    nothing_crossed: str
    nothing_applies: str
    no_fresh_reading: str
    # alert
    no_alert: str
    last_alert: str
    alert: str
    shared: str
    peak: str
    untold: str
    acknowledged: str
    silenced: str
    lifted: str
    flapping: str
    calm: str
    relapses: str
    # told
    chapter: str
    edited: str
    delivered: str
    waits: str
    retries: str
    sending: str
    in_doubt: str
    gave_up: str
    carried: str
    dropped: str
    # outlook
    outlook: Mapping[ProspectKind, str]
    lifts: str
    fewer: str
    shorter: str
    around: str
    not_in_sight: str
    bar_messages: str
    bar_days: str
    closes: str
    calms: str
    tells: str
    tells_nobody: str
    # joining
    comma: str
    and_also: str
    seconds: str
    semicolon: str
    reason: str


_EN = Phrases(
    topics={
        Topic.READING: "Reading",
        Topic.USE: "Use",
        Topic.LIMITS: "Limits",
        Topic.VERDICT: "Verdict",
        Topic.ALERT: "Alert",
        Topic.TOLD: "Told",
        Topic.OUTLOOK: "Outlook",
    },
    channels={Channel.SLACK: "Slack {}", Channel.EMAIL: "e-mail {}"},
    heading="{name}: {severity}, {reading}",
    left_configuration="It is no longer in the configuration, so it isn't read.",
    never_read="It was never read.",
    read="{reading}, read {ago} ago, {when}.",
    only_read="Last read {ago} ago, {when}.",
    stale="That is older than {age}, so it counts as unknown.",
    suspect="A first zero, seen {when}, waits for a second reading before anybody is told.",
    failed="The latest attempt, {ago} ago, failed: {error}.",
    next_in="The next reading is in {span}.",
    due="The next reading is due now.",
    unallocated="No quota of its own: {categories}.",
    use="{burn}; it lasts {runway}, and with {certainty} % certainty {judged}.",
    use_certain="{burn}; {runway}.",
    use_unknown="Unknown: there is less than an hour of readings, or no use was seen.",
    runway_unknown="{burn}; how long it lasts is unknown.",
    count_limit="{severity} below {limit} ({origin}): {state}.",
    days_limit="{severity} below {limit} of runway ({origin}): {state}.",
    off="{severity}: off ({origin}).",
    built_in="built in",
    set_for="set for {}",
    crossed="crossed, {value}",
    met="met, {value}",
    unjudged="can't be judged",
    no_limits="None is set.",
    note="Who acts ({origin}): {note}.",
    verdict="{severity}: {crossed}.",
    nothing_crossed="{severity}: no limit is crossed.",
    nothing_applies="{severity}: no limit applies.",
    no_fresh_reading="{severity}: there is no fresh reading.",
    no_alert="None is open.",
    last_alert="The last one, {id}, closed {when}.",
    alert="{id}: {kind}, {severity}, open since {when} ({span}).",
    shared="It speaks for {count} wallets of the account.",
    peak="The worst that was told of it is {severity}.",
    untold="Nothing has been told of it yet.",
    acknowledged="Acknowledged by {who}, {when}{note}.",
    silenced="Silenced until {when} by {who} ({pattern}){note}.",
    lifted="It rose after the silence began, so it speaks all the same.",
    flapping="It went wrong {count} times within 24 h, so it flaps: only what is worse is told, and that it has recovered "
    "once it has stayed well for {span}.",
    calm="It has been past its limits since {when}, and waits.",
    relapses="It has fallen back {count} × since it opened, which was told to nobody.",
    chapter="{when}, {reason}, {severity}: {deliveries}.",
    edited="its look changed",
    delivered="{place} delivered {when}",
    waits="{place} waits to be sent",
    retries="{place} failed {count} × ({error}), tried again {when}",
    sending="{place} is being sent",
    in_doubt="{place} is in doubt ({error}): it is looked for before it is sent again",
    gave_up="{place} given up {when}: {error}",
    carried="{place} told in another message",
    dropped="{place} no longer needed",
    outlook={
        ProspectKind.NOT_CONFIGURED: "It stays silent while it isn't in the configuration.",
        ProspectKind.FIRST_READING: "Nothing is judged before the first reading.",
        ProspectKind.SECOND_READING: "It speaks if a second reading confirms the zero.",
        ProspectKind.NOT_READABLE: "While it can't be read it keeps its last value: no limit is judged, so nothing opens, "
        "worsens or recovers.",
        ProspectKind.GOES_STALE: "If no reading is good until {when}, that is told as {severity}.",
        ProspectKind.UNALLOCATED: "It stays silent: no quota of its own is allocated here. It speaks if some is, and "
        "falls below a limit.",
        ProspectKind.NO_LIMITS: "It stays silent: no limit applies to it. It would speak if one were set and crossed.",
        ProspectKind.BARE_ZERO: "It stays silent: it was never above 0, and nobody set a limit in messages. With such a "
        "limit it would be depleted.",
        ProspectKind.NEXT_READING: "It speaks as {severity} at the next reading, {when}.",
        ProspectKind.SILENCED: "It stays silent until {when}, when the silence ends{lifts}.",
        ProspectKind.CROSSES: "It speaks as {severity} when {crossing}{expected}.",
        ProspectKind.EMPTIES: "It speaks as {severity} when nothing is left{expected}.",
        ProspectKind.RUNWAY_UNKNOWN: "Limits in days can't be crossed yet: the runway is unknown.",
        ProspectKind.REMINDS: "If it stays like this, it reminds {when}.",
        ProspectKind.NO_REMINDERS: "There are no reminders: `remind_every` is 0s.",
        ProspectKind.ACKNOWLEDGED: "It is acknowledged: no reminders until it worsens.",
        ProspectKind.EXPECTS: "A top-up is ordered: it speaks again if it is still open {when}.",
        ProspectKind.RECOVERS: "It recovers with {bars} or more.",
        ProspectKind.STAYS_WELL: "It recovers after {stays} with {bars} or more.",
    },
    lifts="; above {severity} it speaks all the same",
    fewer="fewer than {limit} are left",
    shorter="it can be counted on to last less than {limit}",
    around=": expected {when}",
    not_in_sight=": not within a year at the expected use",
    bar_messages="{}",
    bar_days="{} of runway to count on",
    closes="It closes at the next reading: no limit applies any more.",
    calms="It recovers {when} if it keeps {bars} or more until then.",
    tells="{places} would be told.",
    tells_nobody="Nobody would be told: the routes send it nowhere.",
    comma=", ",
    and_also=" and ",
    seconds="a few seconds",
    semicolon="; ",
    reason=": {}",
)
_ZH = Phrases(
    topics={
        Topic.READING: "读数",
        Topic.USE: "用量",
        Topic.LIMITS: "限值",
        Topic.VERDICT: "判定",
        Topic.ALERT: "告警",
        Topic.TOLD: "通知",
        Topic.OUTLOOK: "接下来",
    },
    channels={Channel.SLACK: "Slack {}", Channel.EMAIL: "邮件 {}"},
    heading="{name}：{severity}，{reading}",
    left_configuration="已不在配置中，不再读取。",
    never_read="从未读取。",
    read="{reading}，{ago}前读取（{when}）。",
    only_read="上次读取于 {ago}前（{when}）。",
    stale="已超过 {age}，视为未知。",
    suspect="{when} 首次读到 0，等待再次读取确认后才会通知。",
    failed="最近一次尝试（{ago}前）失败：{error}。",
    next_in="{span}后再次读取。",
    due="即将读取。",
    unallocated="没有分配额度：{categories}。",
    use="{burn}；可用 {runway}，有 {certainty}% 的把握可用 {judged}。",
    use_certain="{burn}；{runway}。",
    use_unknown="未知：读数不足一小时，或未见用量。",
    runway_unknown="{burn}；可用时长未知。",
    count_limit="{severity}：低于 {limit}（{origin}）：{state}。",
    days_limit="{severity}：可用时长低于 {limit}（{origin}）：{state}。",
    off="{severity}：关闭（{origin}）。",
    built_in="内置",
    set_for="按 {} 的设置",
    crossed="已越过，{value}",
    met="未越过，{value}",
    unjudged="无法判定",
    no_limits="未设置。",
    note="处理人（{origin}）：{note}。",
    verdict="{severity}：{crossed}。",
    nothing_crossed="{severity}：未越过任何限值。",
    nothing_applies="{severity}：没有适用的限值。",
    no_fresh_reading="{severity}：没有新的读数。",
    no_alert="没有未关闭的告警。",
    last_alert="上一次告警 {id} 于 {when} 关闭。",
    alert="{id}：{kind}，{severity}，自 {when} 起（{span}）。",
    shared="代表该账号的 {count} 个钱包。",
    peak="已通知的最严重级别：{severity}。",
    untold="尚未通知任何人。",
    acknowledged="{who} 于 {when} 确认{note}。",
    silenced="由 {who} 静默至 {when}（{pattern}）{note}。",
    lifted="静默开始后又有恶化，因此仍会通知。",
    flapping="24 小时内触发 {count} 次，属于反复波动：只在恶化时通知，持续正常 {span}后才通知恢复。",
    calm="自 {when} 起已高于限值，等待中。",
    relapses="触发后又回落 {count} 次，均未通知。",
    chapter="{when}，{reason}，{severity}：{deliveries}。",
    edited="更新显示",
    delivered="{place} 已于 {when} 送达",
    waits="{place} 等待发送",
    retries="{place} 已失败 {count} 次（{error}），{when} 重试",
    sending="{place} 正在发送",
    in_doubt="{place} 结果不明（{error}）：重发前会先查找",
    gave_up="{place} 已于 {when} 放弃：{error}",
    carried="{place} 已并入另一条消息",
    dropped="{place} 已无需发送",
    outlook={
        ProspectKind.NOT_CONFIGURED: "不在配置中，因此不会通知。",
        ProspectKind.FIRST_READING: "首次读取之前不作判定。",
        ProspectKind.SECOND_READING: "再次读取确认为 0 后会通知。",
        ProspectKind.NOT_READABLE: "无法读取期间保留最后的数值：不判定限值，因此不会新开、恶化或恢复。",
        ProspectKind.GOES_STALE: "到 {when} 仍未成功读取，将通知（{severity}）。",
        ProspectKind.UNALLOCATED: "不会通知：这里没有分配额度。分配后低于限值时才会通知。",
        ProspectKind.NO_LIMITS: "不会通知：没有适用的限值。设置限值并越过后才会通知。",
        ProspectKind.BARE_ZERO: "不会通知：它从未大于 0，也没有人设置余量限值。设置后即为已耗尽。",
        ProspectKind.NEXT_READING: "下次读取（{when}）时通知（{severity}）。",
        ProspectKind.SILENCED: "静默至 {when}，此前不会通知{lifts}。",
        ProspectKind.CROSSES: "{crossing}时通知（{severity}）{expected}。",
        ProspectKind.EMPTIES: "余量为 0 时通知（{severity}）{expected}。",
        ProspectKind.RUNWAY_UNKNOWN: "天数限值暂时无法判定：可用时长未知。",
        ProspectKind.REMINDS: "如无变化，{when} 再次提醒。",
        ProspectKind.NO_REMINDERS: "不会提醒：`remind_every` 为 0s。",
        ProspectKind.ACKNOWLEDGED: "已确认：恶化之前不再提醒。",
        ProspectKind.EXPECTS: "已下单采购：到 {when} 仍未恢复会再次通知。",
        ProspectKind.RECOVERS: "达到 {bars}时恢复。",
        ProspectKind.STAYS_WELL: "达到 {bars}并持续 {stays}后恢复。",
    },
    lifts="；高于{severity}时仍会通知",
    fewer="余量少于 {limit}",
    shorter="稳妥估计可用不足 {limit}",
    around="：预计在 {when}",
    not_in_sight="：按目前用量一年内不会发生",
    bar_messages="{}",
    bar_days="稳妥估计可用 {}",
    closes="下次读取时关闭：已没有适用的限值。",
    calms="保持 {bars}，将于 {when} 恢复。",
    tells="届时通知 {places}。",
    tells_nobody="届时不会通知任何人：没有对应的接收方。",
    comma="、",
    and_also="、",
    seconds="几秒",
    semicolon="；",
    reason="：{}",
)
PHRASES = {Language.ENGLISH: _EN, Language.CHINESE: _ZH}
