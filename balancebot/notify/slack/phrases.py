"""What is answered in Slack, in both languages. A form with `{}` takes what it speaks of."""

from dataclasses import dataclass

from balancebot.config import Language


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackPhrases:
    """One language's answers."""

    acknowledged: str
    top_up_noted: str
    silenced: str
    means_nothing: str
    closed: str
    acknowledged_many: str
    nothing_left: str
    may_not_ask: str
    may_not_act: str
    too_slow: str
    failed: str
    nothing_matches: str
    more: str
    wrong_pattern: str
    wrong_length: str
    silence_usage: str
    help: str
    form_title: str
    form_submit: str
    form_close: str
    form_expected: str
    form_hint: str
    form_note: str
    form_past: str
    form_far: str


_EN = SlackPhrases(
    acknowledged="Acknowledged: no reminders for {subject} until it worsens.",
    top_up_noted="Noted: a top-up of {subject} is expected by {when}. If it is still open then, it speaks again.",
    silenced="Silenced {pattern} until {when}.",
    means_nothing=" No wallet that is configured now is meant.",
    closed="This alert is closed by now.",
    acknowledged_many="Acknowledged what is open here ({count}): no reminders unless one worsens.",
    nothing_left="Nothing is left to do here: these alerts are closed, or acknowledged already.",
    may_not_ask="You may not look at balances here. Whoever keeps `[slack.roles]` can change that.",
    may_not_act="You may look, but not acknowledge or silence. Whoever keeps `[slack.roles]` can change that.",
    too_slow="The form could not be opened ({error}). Click once more.",
    failed="That was not done: the database did not answer. Try again in a while.",
    nothing_matches="Nothing here is called {pattern}{hint}.",
    more="… and {count} more: narrow it with a pattern, such as `/balance acme/*:market`.",
    wrong_pattern="The pattern {fault}",
    wrong_length="The length {fault}",
    silence_usage="Say what and how long: `/balance silence acme/*:market 4h reason`.",
    help="`/balance` what needs attention first\n"
    "`/balance acme/*:market` the balances that a pattern means\n"
    "`/balance why acme/checkout:industry` what it is judged by, who was told, what would make it speak\n"
    "`/balance silence acme/checkout 4h reason` mutes it for a while; `tomorrow` is until 9:00",
    form_title="Top-up ordered",
    form_submit="Acknowledge",
    form_close="Cancel",
    form_expected="Expected by",
    form_hint="If the quota hasn't risen by then, the alert speaks again.",
    form_note="Note",
    form_past="Choose a time that is still to come.",
    form_far="Choose a time within {days} days.",
)
_ZH = SlackPhrases(
    acknowledged="已确认：{subject} 恶化之前不再提醒。",
    top_up_noted="已记录：{subject} 预计在 {when} 前到账；届时仍未恢复会再次通知。",
    silenced="已静默 {pattern}，至 {when}。",
    means_nothing="目前没有已配置的钱包与之匹配。",
    closed="该告警已关闭。",
    acknowledged_many="已确认此处未恢复的 {count} 个告警：除非恶化，不再提醒。",
    nothing_left="此处已无可操作：这些告警均已关闭，或已被确认。",
    may_not_ask="您无权查看余量。可由 `[slack.roles]` 的维护人调整。",
    may_not_act="您可以查看，但无权确认或静默。可由 `[slack.roles]` 的维护人调整。",
    too_slow="表单未能打开（{error}），请再点一次。",
    failed="未能完成：数据库没有应答。请稍后再试。",
    nothing_matches="没有名为 {pattern} 的余量{hint}。",
    more="……另有 {count} 项：可用模式缩小范围，例如 `/balance acme/*:market`。",
    wrong_pattern="模式有误：{fault}",
    wrong_length="时长有误：{fault}",
    silence_usage="请写明对象和时长：`/balance silence acme/*:market 4h 原因`。",
    help="`/balance` 最需要关注的在前\n"
    "`/balance acme/*:market` 模式所指的余量\n"
    "`/balance why acme/checkout:industry` 判定依据、通知了谁、何时会再通知\n"
    "`/balance silence acme/checkout 4h 原因` 静默一段时间；`tomorrow` 表示至明天 9:00",
    form_title="已下单采购",
    form_submit="确认",
    form_close="取消",
    form_expected="预计到账时间",
    form_hint="届时余量仍未回升，会再次通知。",
    form_note="备注",
    form_past="请选择将来的时间。",
    form_far="请选择 {days} 天以内的时间。",
)
PHRASES = {Language.ENGLISH: _EN, Language.CHINESE: _ZH}
