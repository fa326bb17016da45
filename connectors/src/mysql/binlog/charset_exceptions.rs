//! Characters of several bytes that MySQL reads otherwise than the web's encodings do.
//!
//! Found by comparing every code of one, two and three bytes between `encoding_rs` and `CONVERT(… USING utf16)` of MySQL
//! 8.0.31 and MariaDB 10.11.19, which agree with each other.

/// Runs: the first code, and the characters of it and of the codes that follow, in order of code.
pub(super) type Exceptions = &'static [(u32, &'static str)];

pub(super) const GBK: Exceptions = &[];

pub(super) const BIG5: Exceptions = &[
    (0xA145, "•"),
    (0xA14E, "､"),
    (0xA1C2, "‾"),
    (0xA1E3, "∼"),
    (0xA1F2, "♁☉"),
    (0xA241, "／＼"),
    (0xA244, "¥"),
    (0xA246, "¢£"),
    (
        0xC6A1,
        "ヾゝゞ々ぁあぃいぅうぇえぉおかがきぎくぐけげこごさざしじすずせぜそぞただちぢっつづてでとどなにぬねのはばぱひびぴふぶぷへべぺほぼぽまみむめもゃやゅゆょよらりるれろゎわゐゑをんァアィイゥウェ",
    ),
    (
        0xC740,
        "エォオカガキギクグケゲコゴサザシジスズセゼソゾタダチヂッツヅテデトドナニヌネノハバパヒビピフブプヘベペホボポマミムメモャヤュユ",
    ),
    (
        0xC7A1,
        "ョヨラリルレロヮワヰヱヲンヴヵヶДЕЁЖЗИЙКЛМУФХЦЧШЩЪЫЬЭЮЯабвгдеёжзийклмнопрстуфхцчшщъыьэюя①②③④⑤⑥⑦⑧⑨⑩⑴⑵⑶⑷⑸⑹⑺⑻⑼⑽",
    ),
];

pub(super) const SJIS: Exceptions = &[(0x815F, "\\〜‖"), (0x817C, "−"), (0x8191, "¢£"), (0x81CA, "¬")];

pub(super) const CP932: Exceptions = &[];

pub(super) const UJIS: Exceptions = &[(0xA1C0, "\\〜‖"), (0xA1DD, "−"), (0xA1F1, "¢£"), (0xA2CC, "¬"), (0x8FA2B7, "~")];

pub(super) const EUCJPMS: Exceptions = &[
    (0x8FA2C3, "￤"),
    (0x8FF3F3, "ⅰⅱⅲⅳⅴⅵⅶⅷⅸⅹⅠⅡ"),
    (
        0x8FF4A1,
        "ⅢⅣⅤⅥⅦⅧⅨⅩ＇＂㈱№℡炻仼僴凬匇匤﨎咊坙﨏塚增寬峵嵓﨑德悅愠敎昻晥晴朗栁﨓﨔橫櫢淸淲瀨凞猪甁皂皞益礰礼神祥福竧靖精綠緖羽荢﨟薰蘒﨡蠇諸譿賴赶﨣﨤逸郞都鄕﨧﨨閒隆﨩霻靍靑飯飼館馞髙魲鶴黑",
    ),
];

pub(super) const EUCKR: Exceptions = &[];

pub(super) const GB2312: Exceptions = &[(0xA1A4, "・"), (0xA1AA, "―")];

pub(super) const GB18030: Exceptions = &[
    (0xA3A0, "\u{e5e5}"),
    (0xA6D9, "\u{e78d}\u{e78e}\u{e78f}\u{e790}\u{e791}\u{e792}\u{e793}"),
    (0xA6EC, "\u{e794}\u{e795}"),
    (0xA6F3, "\u{e796}"),
    (0xFE59, "\u{e81e}"),
    (0xFE61, "\u{e826}"),
    (0xFE66, "\u{e82b}\u{e82c}"),
    (0xFE6D, "\u{e832}"),
    (0xFE7E, "\u{e843}"),
    (0xFE90, "\u{e854}"),
    (0xFEA0, "\u{e864}"),
];
