"""The words in simplified Chinese."""

from balancebot.domain.alert import AlertKind, Cause, Reason
from balancebot.domain.balance import Category
from balancebot.domain.threshold import LimitColumn
from balancebot.domain.verdict import Severity
from balancebot.wording.vocabulary import Vocabulary

CHINESE = Vocabulary(
    severities={
        Severity.UNKNOWN: "未知",
        Severity.OK: "正常",
        Severity.WARNING: "预警",
        Severity.CRITICAL: "严重",
        Severity.DEPLETED: "已耗尽",
    },
    categories={
        Category.UNIVERSAL: "全类型短信",
        Category.VOICE: "语音短信",
        Category.INDUSTRY: "行业短信",
        Category.MARKET: "营销短信",
    },
    kinds={
        AlertKind.LOW_BALANCE: "余量不足",
        AlertKind.BURN_SPIKE: "用量突增",
        AlertKind.CREDENTIALS_REJECTED: "凭证被拒",
        AlertKind.STALE: "读取中断",
    },
    reasons={
        Reason.OPENED: "新告警",
        Reason.WORSENED: "恶化",
        Reason.REMINDER: "提醒",
        Reason.RECOVERED: "已恢复",
    },
    causes={
        Cause.ROSE: "余量已回升到限值以上",
        Cause.LIMIT_CHANGED: "限值已调整",
        Cause.UNALLOCATED: "该类型已不再分配额度",
        Cause.WALLET_REMOVED: "该钱包已从配置中移除",
        Cause.READ_AGAIN: "已恢复读取",
        Cause.CREDENTIALS_INSTEAD: "已有应答，但凭证被拒",
        Cause.USE_NORMAL: "用量已恢复正常",
    },
    limits={
        LimitColumn.WARNING_BELOW: "预警余量",
        LimitColumn.CRITICAL_BELOW: "严重余量",
        LimitColumn.WARNING_DAYS: "预警天数",
        LimitColumn.CRITICAL_DAYS: "严重天数",
    },
    unread="尚未读取",
    unallocated="未分配",
    unknown="未知",
    endless="一年内用不完",
    emptied="已用完",
    no_use="无用量",
    a_day="每天 {} 条",
    one_message="1 条",
    messages="{} 条",
    minutes="{} 分钟",
    hours="{} 小时",
    one_day="1 天",
    days="{} 天",
    between="{}至 {}",
    at_least="{}以上",
    ranged="{}（{}）",
    zero_crossed="余量为 0",
    count_crossed="{value}，低于{name} {limit}",
    days_crossed="稳妥估计可用 {value}，低于{name} {limit}",
    scope="（按 {} 的设置）",
    order="请在 {by} 前采购{category}约 {count} 条，有 {certainty}% 的把握用到 {until}",
    order_now="请立即采购{category}约 {count} 条，有 {certainty}% 的把握用到 {until}",
    order_total="合计约采购：{parts}{by}",
    first_order="，最早一笔在 {} 前",
    first_order_now="，最早一笔应立即下单",
    order_part="{category} {count} 条",
    and_then="、",
    planned="计划于 {at} 发送 {messages} 条{note}",
    surge="{span}内用了 {messages}，约为平时（{expected} 条）的 {factor} 倍",
    surge_from_nothing="{span}内用了 {messages}，而此时段平时几乎没有用量",
    weekdays=("周一", "周二", "周三", "周四", "周五", "周六", "周日"),
    date="{number}月{day}日 {weekday}",
    date_of_year="{year}年{number}月{day}日",
)
